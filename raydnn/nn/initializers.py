"""Initializers: the first weights of one layer of one member, from a generator of its own.

Each is given the shape of a matrix with a column for each unit, (fan_in, fan_out) for a dense layer, and the fans.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Generator, Tensor, nn

from raydnn.spec.axes.init import Constant, Normal, Orthogonal, TruncatedNormal, Uniform, VarianceScaling

CUT_STD = 0.8796256610342398
"""Standard deviation of a standard normal variable cut at ±2."""

Shape = tuple[int, int]
"""Numbers that come into a unit, and units."""
Initializer = Callable[[Any, Shape, int, int, Generator], Tensor]


def _uniform(shape: Shape, bound: float, generator: Generator) -> Tensor:
    return torch.rand(*shape, generator=generator) * (2 * bound) - bound


def _normal(shape: Shape, std: float, generator: Generator) -> Tensor:
    return torch.randn(*shape, generator=generator) * std


def _truncated_normal(shape: Shape, std: float, generator: Generator) -> Tensor:
    weights = torch.empty(*shape)
    return nn.init.trunc_normal_(weights, 0.0, std, -2 * std, 2 * std, generator)


def glorot_uniform(_spec: object, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = √(6/(fan_in + fan_out))."""
    return _uniform(shape, sqrt(6 / (fan_in + fan_out)), generator)


def glorot_normal(_spec: object, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, 2/(fan_in + fan_out))."""
    return _normal(shape, sqrt(2 / (fan_in + fan_out)), generator)


def he_uniform(_spec: object, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = √(6/fan_in)."""
    return _uniform(shape, sqrt(6 / fan_in), generator)


def he_normal(_spec: object, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, 2/fan_in)."""
    return _normal(shape, sqrt(2 / fan_in), generator)


def lecun_uniform(_spec: object, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = √(3/fan_in)."""
    return _uniform(shape, sqrt(3 / fan_in), generator)


def lecun_normal(_spec: object, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, 1/fan_in)."""
    return _normal(shape, sqrt(1 / fan_in), generator)


def variance_scaling(
    spec: VarianceScaling, shape: Shape, fan_in: int, fan_out: int, generator: Generator
) -> Tensor:
    """Var w = scale/n, n by `mode`, whatever the distribution."""
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[spec.mode]
    std = sqrt(spec.scale / n)
    if spec.distribution == "uniform":
        return _uniform(shape, sqrt(3) * std, generator)
    if spec.distribution == "normal":
        return _normal(shape, std, generator)
    return _truncated_normal(shape, std / CUT_STD, generator)


def normal(spec: Normal, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, std²)."""
    return _normal(shape, spec.std, generator)


def truncated_normal(
    spec: TruncatedNormal, shape: Shape, fan_in: int, fan_out: int, generator: Generator
) -> Tensor:
    """w ~ N(0, std²) given |w| ≤ 2·std."""
    return _truncated_normal(shape, spec.std, generator)


def uniform(spec: Uniform, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−bound, bound)."""
    return _uniform(shape, spec.bound, generator)


def orthogonal(spec: Orthogonal, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """WᵀW = gain²·I for fan_in ≥ fan_out, else WWᵀ = gain²·I."""
    weights = torch.empty(*shape)
    return nn.init.orthogonal_(weights, spec.gain, generator)


def constant(spec: Constant, shape: Shape, fan_in: int, fan_out: int, _generator: Generator) -> Tensor:
    """w = value."""
    return torch.full(shape, spec.value)


def zeros(_spec: object, shape: Shape, fan_in: int, fan_out: int, _generator: Generator) -> Tensor:
    """w = 0."""
    return torch.zeros(*shape)


def torch_default(_spec: object, shape: Shape, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = 1/√fan_in."""
    return _uniform(shape, 1 / sqrt(fan_in), generator)


INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "variance_scaling": variance_scaling,
    "normal": normal,
    "truncated_normal": truncated_normal,
    "uniform": uniform,
    "orthogonal": orthogonal,
    "zeros": zeros,
    "constant": constant,
    "torch_default": torch_default,
}
"""Name → implementation; the names are those of raydnn.spec.axes.init without `auto`."""
