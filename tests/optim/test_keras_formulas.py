"""Optimizers against the update formulas of Keras 3: the same, or different in the way the docstrings say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from raydnn.optim.optimizers.stacked import StackOptimizer
from raydnn.spec.axes.adaptive import Adadelta, Adagrad, Adam, Adamax, Nadam, RmsProp
from raydnn.spec.axes.optimizer import Lion
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role

SIZE, STEPS = 32, 200
RNG = torch.Generator().manual_seed(7)
LAYOUT = Layout({"0.bias": Parameter((SIZE,), Role.BIAS, "0")})
START, CURVATURE, TARGET = torch.randn(3, 1, SIZE, generator=RNG, dtype=torch.float64)
WIND = torch.randn(STEPS, SIZE, generator=RNG, dtype=torch.float64)


def _gradient(parameters: Tensor, step: int) -> Tensor:
    return (CURVATURE.abs() + 0.1) * (parameters - TARGET) + 0.3 * WIND[step]


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Differences between the formulas are not hidden by rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _keras_adam(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    state["m"] = state.get("m", 0) + (g - state.get("m", 0)) * (1 - spec.beta1)
    state["v"] = state.get("v", 0) + (g * g - state.get("v", 0)) * (1 - spec.beta2)
    alpha = spec.lr * (1 - spec.beta2**t) ** 0.5 / (1 - spec.beta1**t)
    return p - alpha * state["m"] / (state["v"].sqrt() + spec.eps * (1 - spec.beta2**t) ** 0.5)


def _keras_adam_as_documented(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    """Without the rescaling of ε by which `_keras_adam` is ours."""
    eps = spec.eps / (1 - spec.beta2**t) ** 0.5
    return _keras_adam(spec.model_copy(update={"eps": eps}), p, g, state, t)


def _keras_nadam(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    now, then = (spec.beta1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
    state["u"] = state.get("u", 1.0) * now
    state["m"] = state.get("m", 0) + (g - state.get("m", 0)) * (1 - spec.beta1)
    state["v"] = state.get("v", 0) + (g * g - state.get("v", 0)) * (1 - spec.beta2)
    m_hat = then * state["m"] / (1 - state["u"] * then) + (1 - now) * g / (1 - state["u"])
    return p - m_hat * spec.lr / ((state["v"] / (1 - spec.beta2**t)).sqrt() + spec.eps)


def _keras_adamax(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    state["m"] = state.get("m", 0) + (g - state.get("m", 0)) * (1 - spec.beta1)
    state["u"] = torch.maximum(spec.beta2 * state.get("u", torch.zeros_like(p)), g.abs())
    return p - spec.lr * state["m"] / ((1 - spec.beta1**t) * (state["u"] + spec.eps))


def _keras_adadelta(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    state["g"] = spec.rho * state.get("g", 0) + (1 - spec.rho) * g * g
    past = torch.as_tensor(state.get("d", 0.0))
    delta = -((past + spec.eps).sqrt()) * g / (state["g"] + spec.eps).sqrt()
    state["d"] = spec.rho * past + (1 - spec.rho) * delta * delta
    return p + spec.lr * delta


def _keras_rmsprop(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    state["v"] = spec.alpha * state.get("v", 0) + (1 - spec.alpha) * g * g
    divisor = state["v"]
    if spec.centered:
        state["a"] = spec.alpha * state.get("a", 0) + (1 - spec.alpha) * g
        divisor = divisor - state["a"] ** 2
    state["u"] = spec.momentum * state.get("u", 0) + spec.lr * g / (divisor + spec.eps).sqrt()
    return p - state["u"]


def _keras_adagrad(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    state["s"] = state.get("s", spec.initial_accumulator) + g * g
    return p - spec.lr * g / (state["s"] + spec.eps).sqrt()


def _keras_lion(spec: Any, p: Tensor, g: Tensor, state: dict[str, Any], t: int) -> Tensor:
    m = state.get("m", 0)
    state["m"] = m * spec.beta2 + g * (1 - spec.beta2)
    return p - spec.lr * torch.sign(m * spec.beta1 + g * (1 - spec.beta1))


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    ("spec", "theirs"),
    [
        (Adam(lr=0.02, beta1=0.8, eps=1e-7), _keras_adam),
        (Nadam(lr=0.02, beta1=0.8, eps=1e-7, momentum_decay=1.0), _keras_nadam),
        (Adamax(lr=0.02, beta1=0.8, eps=1e-7), _keras_adamax),
        (Adadelta(lr=2.0, rho=0.9, eps=1e-5), _keras_adadelta),
        (RmsProp(lr=0.01, momentum=0.5, eps=1e-12), _keras_rmsprop),
        (RmsProp(lr=0.01, centered=True, eps=1e-12), _keras_rmsprop),
        (Adagrad(lr=0.3, initial_accumulator=0.1, eps=1e-12), _keras_adagrad),
        (Lion(lr=0.01), _keras_lion),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_formulas_of_keras_give_the_same_where_epsilon_does_not_matter(
    spec: Any, theirs: Callable[[Any, Tensor, Tensor, dict[str, Any], int], Tensor]
) -> None:
    """Adam's ε is rescaled, Nadam's momentum decay is 1, and η is constant: the docstrings say why."""
    ours, expected, state = START.clone(), START.clone(), dict[str, Any]()
    optimizer = StackOptimizer([spec], LAYOUT, torch.device("cpu"), torch.float64)
    optimizer.plan(torch.full((STEPS, 1), spec.lr))
    for step in range(STEPS):
        expected = theirs(spec, expected, _gradient(expected, step), state, step + 1)
        optimizer.step(ours, _gradient(ours, step))
    assert (ours - expected).norm() / expected.norm() < 1e-6


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    ("spec", "theirs"),
    [
        (Adam(lr=0.02, eps=0.1), _keras_adam_as_documented),
        (Nadam(lr=0.02, eps=0.1, momentum_decay=1.0), _keras_nadam),
        (Adamax(lr=0.02, eps=0.1), _keras_adamax),
        (Adadelta(lr=2.0, eps=0.1), _keras_adadelta),
        (RmsProp(lr=0.01, eps=0.1), _keras_rmsprop),
        (Adagrad(lr=0.3, eps=0.1), _keras_adagrad),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_pages_say_where_epsilon_stands_otherwise_in_keras(
    spec: Any, theirs: Callable[[Any, Tensor, Tensor, dict[str, Any], int], Tensor]
) -> None:
    ours, expected, state = START.clone(), START.clone(), dict[str, Any]()
    optimizer = StackOptimizer([spec], LAYOUT, torch.device("cpu"), torch.float64)
    optimizer.plan(torch.full((STEPS, 1), spec.lr))
    for step in range(5):
        expected = theirs(spec, expected, _gradient(expected, step), state, step + 1)
        optimizer.step(ours, _gradient(ours, step))
    same = bool((ours - expected).norm() / expected.norm() < 1e-6)
    assert "torch" in spec.note
    assert ("torch and Keras" in spec.note) == same
