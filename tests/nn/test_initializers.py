"""Initializers: the distribution they promise, at several fans, and nothing but it."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
import torch
from scipy import stats

from raydnn.nn.initializers import INITIALIZERS
from raydnn.spec.axes.init import Constant, Normal, Orthogonal, VarianceScaling
from raydnn.spec.base import Component
from raydnn.spec.catalogue.kinds import components

FANS = [(64, 64), (784, 300), (300, 10), (10, 500), (1, 400)]


def _uniform(bound: float) -> Any:
    return stats.uniform(-bound, 2 * bound)


DISTRIBUTIONS: dict[str, Callable[[Any, int, int], Any]] = {
    "glorot_uniform": lambda _, i, o: _uniform(sqrt(6 / (i + o))),
    "glorot_normal": lambda _, i, o: stats.norm(0, sqrt(2 / (i + o))),
    "he_uniform": lambda _, i, o: _uniform(sqrt(6 / i)),
    "he_normal": lambda _, i, o: stats.norm(0, sqrt(2 / i)),
    "lecun_uniform": lambda _, i, o: _uniform(sqrt(3 / i)),
    "lecun_normal": lambda _, i, o: stats.norm(0, sqrt(1 / i)),
    "variance_scaling": lambda spec, i, o: stats.truncnorm(
        -2, 2, 0, sqrt(spec.scale / i) / 0.87962566103423978
    ),
    "normal": lambda spec, i, o: stats.norm(0, spec.std),
    "truncated_normal": lambda spec, i, o: stats.truncnorm(-2, 2, 0, spec.std),
    "uniform": lambda spec, i, o: _uniform(spec.bound),
    "torch_default": lambda _, i, o: _uniform(1 / sqrt(i)),
}
"""Name → what is promised, fan_in `i`, fan_out `o`; those in APART have a test of their own."""

APART = {"zeros", "constant", "orthogonal"}

TORCH: dict[str, Callable[[torch.Tensor], Any]] = {
    "glorot_uniform": torch.nn.init.xavier_uniform_,
    "glorot_normal": torch.nn.init.xavier_normal_,
    "he_uniform": torch.nn.init.kaiming_uniform_,
    "he_normal": torch.nn.init.kaiming_normal_,
    "lecun_normal": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="linear"),
    "lecun_uniform": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear"),
    "torch_default": lambda w: torch.nn.init.kaiming_uniform_(w, a=sqrt(5)),
}
"""The same by torch, on a weight (fan_out, fan_in)."""


def _spec(name: str) -> Component:
    return Normal(std=0.3) if name == "normal" else components("init")[name](name=name)


def _draw(name: str, fan_in: int, fan_out: int, seed: int = 0) -> torch.Tensor:
    return INITIALIZERS[name](
        _spec(name), (fan_in, fan_out), fan_in, fan_out, torch.Generator().manual_seed(seed)
    )


def test_the_table_covers_every_initializer() -> None:
    assert set(DISTRIBUTIONS) | APART == set(INITIALIZERS)


@pytest.mark.parametrize("fans", FANS, ids=str)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_weights_are_drawn_from_the_promised_distribution(name: str, fans: tuple[int, int]) -> None:
    weights = _draw(name, *fans)
    promised = DISTRIBUTIONS[name](_spec(name), *fans)
    n = weights.numel()
    assert weights.shape == fans
    assert weights.dtype == torch.float32
    assert abs(weights.mean()) < 4.5 * promised.std() / sqrt(n)
    assert weights.var().item() == pytest.approx(promised.var(), rel=4.5 * sqrt(2 / n))
    assert stats.kstest(weights.flatten().numpy(), promised.cdf).pvalue > 1e-3
    low, high = promised.support()
    assert weights.min() >= low * (1 + 1e-6)
    assert weights.max() <= high * (1 + 1e-6)


@pytest.mark.parametrize("name", TORCH)
def test_torch_draws_from_the_same_distribution(name: str) -> None:
    torchs = torch.empty(300, 100)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        TORCH[name](torchs)
    ours = _draw(name, 100, 300)
    assert stats.ks_2samp(ours.flatten().numpy(), torchs.flatten().numpy()).pvalue > 1e-3


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_generator_decides_every_weight(name: str) -> None:
    assert torch.equal(_draw(name, 30, 20, seed=5), _draw(name, 30, 20, seed=5))
    assert not torch.equal(_draw(name, 30, 20, seed=5), _draw(name, 30, 20, seed=6))
    state = torch.get_rng_state()
    _draw(name, 30, 20)
    assert torch.equal(state, torch.get_rng_state())


def test_zeros() -> None:
    assert torch.equal(_draw("zeros", 3, 4), torch.zeros(3, 4))


def test_constant() -> None:
    found = INITIALIZERS["constant"](Constant(value=-0.5), (3, 4), 3, 4, torch.Generator())
    assert torch.equal(found, torch.full((3, 4), -0.5))


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "uniform"])
def test_variance_scaling_has_the_variance_whatever_the_distribution(distribution: Any, mode: Any) -> None:
    spec = VarianceScaling(scale=3.0, mode=mode, distribution=distribution)
    found = INITIALIZERS["variance_scaling"](spec, (400, 100), 400, 100, torch.Generator().manual_seed(0))
    variance = 3 / {"fan_in": 400, "fan_out": 100, "fan_avg": 250}[mode]
    assert found.var().item() == pytest.approx(variance, rel=0.03)
    widest = {"normal": 6.0, "truncated_normal": 2 / 0.8796, "uniform": sqrt(3)}[distribution] * sqrt(
        variance
    )
    assert 0.7 * widest < found.abs().max() <= widest * (1 + 1e-4)


@pytest.mark.parametrize("fans", [*FANS, (7, 7)], ids=str)
def test_orthogonal(fans: tuple[int, int]) -> None:
    found = INITIALIZERS["orthogonal"](Orthogonal(gain=2.0), fans, *fans, torch.Generator().manual_seed(0))
    assert found.shape == fans
    squared = found @ found.T if fans[0] < fans[1] else found.T @ found
    torch.testing.assert_close(squared, 4 * torch.eye(min(fans)), atol=1e-4, rtol=0)
    again = INITIALIZERS["orthogonal"](Orthogonal(gain=2.0), fans, *fans, torch.Generator().manual_seed(0))
    assert torch.equal(found, again)
