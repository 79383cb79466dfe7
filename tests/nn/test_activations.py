"""Activations: values and gradients against their formulas and torch, in a stack of many settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raydnn.nn.activations import ACTIVATIONS, activate
from raydnn.optim.runs import find_runs
from raydnn.spec.activation import Elu, LeakyRelu
from raydnn.spec.base import Component
from raydnn.spec.catalogue import components

CPU = torch.device("cpu")

TORCH: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "linear": lambda _, z: functional.leaky_relu(z, 1.0),
    "sigmoid": lambda _, z: functional.logsigmoid(z).exp(),
    "tanh": lambda _, z: torch.nn.Tanh()(z),
    "relu": lambda _, z: z.clamp(min=0),
    "leaky_relu": lambda spec, z: functional.leaky_relu(z, spec.alpha),
    "elu": lambda spec, z: functional.elu(z, spec.alpha),
    "selu": lambda _, z: functional.elu(z, 1.6732632423543772) * 1.0507009873554805,
    "softplus": lambda _, z: torch.logaddexp(z, torch.zeros_like(z)),
    "gelu": lambda _, z: z * torch.special.ndtr(z),
    "silu": lambda _, z: z * torch.sigmoid(z),
    "mish": lambda _, z: z * torch.tanh(torch.logaddexp(z, torch.zeros_like(z))),
}
"""Name → the same function by another way."""

SETTINGS: list[Component] = [
    *(cls() for cls in components("activation").values()),
    LeakyRelu(alpha=0.0),
    LeakyRelu(alpha=0.3),
    Elu(alpha=0.5),
    Elu(alpha=2.0),
]
EXTREMES = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 20.0, -20.0, 88.0, -88.0, 100.0, -100.0, 1e4, -1e4])


def _stacked(specs: list[Component], z: Tensor) -> Tensor:
    return activate(find_runs(specs, CPU), z)


def test_the_table_covers_every_activation() -> None:
    assert set(TORCH) == set(ACTIVATIONS)


@pytest.mark.parametrize("spec", SETTINGS, ids=str)
def test_values_and_gradients_are_those_of_the_formula(spec: Component) -> None:
    z = torch.linspace(-6, 6, 400, dtype=torch.float64)
    z = z[z != 0].requires_grad_()
    expected = TORCH[spec.name](spec, z)
    (slope,) = torch.autograd.grad(expected.sum(), z)
    found = _stacked([spec], z.view(1, 1, -1))
    (found_slope,) = torch.autograd.grad(found.sum(), z)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found_slope, slope, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("spec", SETTINGS, ids=str)
def test_extremes_stay_finite(spec: Component, dtype: torch.dtype) -> None:
    z = EXTREMES.to(dtype).requires_grad_()
    found = _stacked([spec], z.view(1, 1, -1))
    (slope,) = torch.autograd.grad(found.sum(), z)
    assert found.isfinite().all()
    assert slope.isfinite().all()
    expected = TORCH[spec.name](spec, EXTREMES.double())
    torch.testing.assert_close(found.flatten().double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("spec", SETTINGS, ids=str)
def test_gradcheck(spec: Component) -> None:
    z = torch.randn(1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda z: _stacked([spec], z), z.requires_grad_())


def test_a_mixed_stack_is_bitwise_its_members_alone() -> None:
    specs = [SETTINGS[k] for k in torch.randperm(len(SETTINGS), generator=torch.Generator().manual_seed(2))]
    z = torch.randn(len(specs), 7, 33, generator=torch.Generator().manual_seed(3)) * 4
    alone = [_stacked([spec], z[k : k + 1]) for k, spec in enumerate(specs)]
    assert torch.equal(_stacked(specs, z), torch.cat(alone))


def test_selu_keeps_mean_0_and_variance_1() -> None:
    found = ACTIVATIONS["selu"](
        torch.randn(10**6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    assert found.mean().abs() < 0.005
    assert found.var().sub(1).abs() < 0.01
