"""Initializers: the first weights (fan_in, fan_out) of one layer of one member, from a generator of its own."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Generator, Tensor

from raydnn.spec.init import Normal

Initializer = Callable[[Any, int, int, Generator], Tensor]


def _uniform(fan_in: int, fan_out: int, bound: float, generator: Generator) -> Tensor:
    return torch.rand(fan_in, fan_out, generator=generator) * (2 * bound) - bound


def _normal(fan_in: int, fan_out: int, std: float, generator: Generator) -> Tensor:
    return torch.randn(fan_in, fan_out, generator=generator) * std


def glorot_uniform(_spec: object, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = √(6/(fan_in + fan_out))."""
    return _uniform(fan_in, fan_out, sqrt(6 / (fan_in + fan_out)), generator)


def glorot_normal(_spec: object, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, 2/(fan_in + fan_out))."""
    return _normal(fan_in, fan_out, sqrt(2 / (fan_in + fan_out)), generator)


def he_uniform(_spec: object, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = √(6/fan_in)."""
    return _uniform(fan_in, fan_out, sqrt(6 / fan_in), generator)


def he_normal(_spec: object, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, 2/fan_in)."""
    return _normal(fan_in, fan_out, sqrt(2 / fan_in), generator)


def lecun_uniform(_spec: object, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = √(3/fan_in)."""
    return _uniform(fan_in, fan_out, sqrt(3 / fan_in), generator)


def lecun_normal(_spec: object, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, 1/fan_in)."""
    return _normal(fan_in, fan_out, sqrt(1 / fan_in), generator)


def normal(spec: Normal, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ N(0, std²)."""
    return _normal(fan_in, fan_out, spec.std, generator)


def zeros(_spec: object, fan_in: int, fan_out: int, _generator: Generator) -> Tensor:
    """w = 0."""
    return torch.zeros(fan_in, fan_out)


def torch_default(_spec: object, fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """w ~ U(−a, a), a = 1/√fan_in."""
    return _uniform(fan_in, fan_out, 1 / sqrt(fan_in), generator)


INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "normal": normal,
    "zeros": zeros,
    "torch_default": torch_default,
}
"""Name → implementation; the names are those of raydnn.spec.init without `auto`."""
