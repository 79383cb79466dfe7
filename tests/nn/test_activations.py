"""Activations: values and gradients against their formulas and torch, in a stack of many settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raydnn.nn.activations import ACTIVATIONS, activate
from raydnn.spec.axes.activation import ActivationFunction, Elu, LeakyRelu, Prelu, Relu, Rrelu
from raydnn.spec.base import Component
from raydnn.spec.catalogue.kinds import components
from raydnn.stacking.context import Context
from raydnn.stacking.groups import member_groups
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")

TORCH: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "linear": lambda _, z: functional.leaky_relu(z, 1.0),
    "heaviside": lambda _, z: torch.heaviside(z, torch.ones_like(z)),
    "sign": lambda _, z: torch.where(z > 0, 1.0, torch.where(z < 0, -1.0, z)),
    "sigmoid": lambda _, z: functional.logsigmoid(z).exp(),
    "tanh": lambda _, z: torch.nn.Tanh()(z),
    "relu": lambda _, z: z.clamp(min=0),
    "leaky_relu": lambda spec, z: functional.leaky_relu(z, spec.alpha),
    "rrelu": lambda spec, z: functional.rrelu(z, spec.lower, spec.upper, training=False),
    "prelu": lambda spec, z: functional.prelu(z, torch.tensor(spec.alpha, dtype=z.dtype)),
    "elu": lambda spec, z: functional.elu(z, spec.alpha),
    "selu": lambda _, z: functional.elu(z, 1.6732632423543772) * 1.0507009873554805,
    "softplus": lambda _, z: torch.logaddexp(z, torch.zeros_like(z)),
    "softmax": lambda _, z: functional.log_softmax(z, dim=-1).exp(),
    "gelu": lambda _, z: z * torch.special.ndtr(z),
    "silu": lambda _, z: z * torch.sigmoid(z),
    "mish": lambda _, z: z * torch.tanh(torch.logaddexp(z, torch.zeros_like(z))),
}
"""Name → the same function by another way."""

SETTINGS: list[ActivationFunction] = [
    *(cls(name=name) for name, cls in components("activation").items()),
    LeakyRelu(alpha=0.0),
    LeakyRelu(alpha=0.3),
    Rrelu(lower=0.0, upper=0.9),
    Rrelu(lower=0.2, upper=0.2),
    Prelu(alpha=0.0),
    Prelu(alpha=0.9),
    Elu(alpha=0.5),
    Elu(alpha=2.0),
]
DIFFERENTIABLE = [spec for spec in SETTINGS if spec.differentiable]
EXTREMES = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 20.0, -20.0, 88.0, -88.0, 100.0, -100.0, 1e4, -1e4])


def _stacked(specs: list[Component], z: Tensor) -> Tensor:
    return activate(member_groups(specs, CPU), z)


def test_the_table_covers_every_activation() -> None:
    assert set(TORCH) == set(ACTIVATIONS)


@pytest.mark.parametrize("spec", DIFFERENTIABLE, ids=str)
def test_values_and_gradients_are_those_of_the_formula(spec: ActivationFunction) -> None:
    z = torch.linspace(-6, 6, 400, dtype=torch.float64)
    z = z[z != 0].requires_grad_()
    weights = torch.linspace(-1, 2, len(z), dtype=torch.float64)
    expected = TORCH[spec.name](spec, z)
    (slope,) = torch.autograd.grad((weights * expected).sum(), z)
    found = _stacked([spec], z.view(1, 1, -1))
    (found_slope,) = torch.autograd.grad((weights * found).sum(), z)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found_slope, slope, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("spec", SETTINGS, ids=str)
def test_extremes_stay_finite(spec: ActivationFunction, dtype: torch.dtype) -> None:
    z = EXTREMES.to(dtype).requires_grad_()
    found = _stacked([spec], z.view(1, 1, -1))
    assert found.isfinite().all()
    if spec.differentiable:
        (slope,) = torch.autograd.grad(found.sum(), z)
        assert slope.isfinite().all()
    expected = TORCH[spec.name](spec, EXTREMES.double())
    torch.testing.assert_close(found.flatten().double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("spec", DIFFERENTIABLE, ids=str)
def test_gradcheck(spec: ActivationFunction) -> None:
    z = torch.randn(1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda z: _stacked([spec], z), z.requires_grad_())


def test_a_mixed_stack_is_bitwise_its_members_alone() -> None:
    specs = [SETTINGS[k] for k in torch.randperm(len(SETTINGS), generator=torch.Generator().manual_seed(2))]
    z = torch.randn(len(specs), 7, 33, generator=torch.Generator().manual_seed(3)) * 4
    alone = [_stacked([spec], z[k : k + 1]) for k, spec in enumerate(specs)]
    assert torch.equal(_stacked(specs, z), torch.cat(alone))


@pytest.mark.parametrize("by_units", [False, True])
def test_the_activations_of_a_mixed_stack_lie_in_memory_as_its_inputs_do(by_units: bool) -> None:
    z = torch.randn(3, 33, 7, generator=torch.Generator().manual_seed(3))
    z = z.mT if by_units else z
    specs: list[Component] = [Relu(), Elu(), Prelu()]
    runs = member_groups(specs, CPU)
    h = activate(runs, z)
    assert h.stride() == z.stride()


def test_selu_keeps_mean_0_and_variance_1() -> None:
    found = ACTIVATIONS["selu"](
        torch.randn(10**6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    assert found.mean().abs() < 0.005
    assert found.var().sub(1).abs() < 0.01


def test_at_zero() -> None:
    zero = torch.tensor([-0.0, 0.0])
    assert ACTIVATIONS["heaviside"](zero).tolist() == [1, 1]
    assert ACTIVATIONS["sign"](zero).tolist() == [0, 0]


def test_rrelu_draws_slopes_in_training_and_takes_their_mean_after() -> None:
    z = torch.full((2, 400, 50), -1.0)
    specs = [Rrelu(), Rrelu(lower=0.5, upper=0.6)]
    runs = member_groups(specs, CPU)
    slopes = -activate(runs, z, Context(Noise([3, 4], 1, CPU), 400))
    for found, spec in zip(slopes, specs, strict=True):
        assert spec.lower <= found.min()
        assert found.max() <= spec.upper
        assert found.mean().item() == pytest.approx((spec.lower + spec.upper) / 2, abs=2e-3)
        assert found.std().item() == pytest.approx((spec.upper - spec.lower) / 12**0.5, rel=0.02)
    after = -activate(runs, z)
    assert after[:, 0, 0].tolist() == pytest.approx([11 / 48, 0.55])
    assert torch.equal(activate(runs, z.abs(), Context(Noise([3, 4], 1, CPU), 400)), z.abs())


@pytest.mark.parametrize("seeds", [[5, 5, 5, 5], [5, 6, 7, 8]], ids=str)
def test_rrelu_draws_the_same_whoever_shares_the_stack(seeds: list[int]) -> None:
    specs = [Rrelu(), Relu(), Rrelu(lower=0.0), Rrelu(lower=0.2)]
    z = torch.randn(4, 9, 6, generator=torch.Generator().manual_seed(0))
    noise = Noise(seeds, 2, CPU)
    noise.uniform(9, 6)  # dropout has a stream of its own
    found = activate(member_groups(specs, CPU), z, Context(noise, 9))
    for k, spec in enumerate(specs):
        alone = activate(
            member_groups([spec], CPU), z[k : k + 1], Context(Noise(seeds[k : k + 1], 2, CPU), 9)
        )
        assert torch.equal(found[k : k + 1], alone)


def test_prelu_has_a_slope_for_each_unit_and_member() -> None:
    z = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    alpha = torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    runs = member_groups([Prelu(), Prelu(alpha=0.5)], CPU)
    found = activate(runs, z, alpha=alpha)
    for k in range(2):
        torch.testing.assert_close(found[k], functional.prelu(z[k], alpha[k]))
    assert torch.autograd.gradcheck(lambda z, alpha: activate(runs, z, alpha=alpha), (z, alpha))
