"""Optimizers against torch.optim: every component, every hyperparameter, all members in one stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from raydnn.optim.optimizers import OPTIMIZERS
from raydnn.optim.stacked import StackOptimizer
from raydnn.spec.base import Component
from raydnn.spec.optimizer import Adam, AdamW, Sgd

CPU = torch.device("cpu")
SIZE = 24
STEPS = 200

CASES: dict[str, list[Component]] = {
    "sgd": [
        Sgd(lr=0.05),
        Sgd(lr=0.02, momentum=0.9),
        Sgd(lr=0.03, momentum=0.8, nesterov=True),
        Sgd(lr=0.04, momentum=0.7, dampening=0.7),
        Sgd(lr=0.01, dampening=0.5),
        Sgd(lr=0.02, momentum=0.5, weight_decay=0.1),
        Sgd(lr=0.1, weight_decay=0.01),
        Sgd(lr=0.02, momentum=0.99, nesterov=True, weight_decay=1e-3),
    ],
    "adam": [
        Adam(),
        Adam(lr=0.1, beta1=0.5),
        Adam(lr=0.01, beta2=0.9),
        Adam(lr=0.02, eps=0.1),
        Adam(lr=0.03, weight_decay=0.1),
        Adam(lr=0.05, beta1=0.0, beta2=0.0, weight_decay=0.01),
    ],
    "adamw": [
        AdamW(),
        AdamW(lr=0.1, beta1=0.5),
        AdamW(lr=0.01, beta2=0.9),
        AdamW(lr=0.02, eps=0.1),
        AdamW(lr=0.03, weight_decay=1.0),
        AdamW(lr=0.05, weight_decay=0.0),
    ],
}

ORACLES: dict[str, Callable[[Any, Tensor], torch.optim.Optimizer]] = {
    "sgd": lambda spec, p: torch.optim.SGD(
        [p],
        lr=spec.lr,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        dampening=spec.dampening,
        weight_decay=spec.weight_decay,
    ),
    "adam": lambda spec, p: torch.optim.Adam([p], **_adam(spec)),
    "adamw": lambda spec, p: torch.optim.AdamW([p], **_adam(spec)),
}

ALL = [spec for specs in CASES.values() for spec in specs]


def _adam(spec: Any) -> dict[str, Any]:
    return {
        "lr": spec.lr,
        "betas": (spec.beta1, spec.beta2),
        "eps": spec.eps,
        "weight_decay": spec.weight_decay,
    }


def _problem(members: int) -> tuple[Tensor, Callable[[Tensor, int], Tensor]]:
    """First parameters (members, SIZE), and a gradient that depends on them and changes with the step."""
    rng = torch.Generator().manual_seed(7)
    start = torch.randn(members, SIZE, generator=rng)
    curvature = torch.rand(SIZE, generator=rng) + 0.1
    target = torch.randn(SIZE, generator=rng)
    wind = torch.randn(STEPS + 1, SIZE, generator=rng)
    return start, lambda parameters, step: curvature * (parameters - target) + 0.3 * wind[step]


def _lr(spec: Any, step: int) -> float:
    return float(spec.lr / (1 + 0.01 * step))


def _oracle(spec: Component, start: Tensor, gradient: Callable[[Tensor, int], Tensor]) -> Tensor:
    parameter = start.clone().requires_grad_()
    optimizer = ORACLES[spec.name](spec, parameter)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = _lr(spec, step)
        parameter.grad = gradient(parameter.detach(), step)
        optimizer.step()
    return parameter.detach()


def _train(
    optimizer: StackOptimizer,
    specs: list[Component],
    parameters: Tensor,
    gradient: Callable[[Tensor, int], Tensor],
    steps: range,
) -> None:
    for step in steps:
        lr = torch.tensor([_lr(spec, step) for spec in specs], dtype=torch.float64)
        optimizer.step(parameters, gradient(parameters, step), lr)


def _assert_close(found: Tensor, expected: Tensor) -> None:
    distance = (found - expected).norm() / expected.norm()
    assert distance < 1e-5


def test_the_table_covers_every_optimizer_and_every_hyperparameter() -> None:
    assert set(CASES) == set(ORACLES) == set(OPTIMIZERS)
    for name, specs in CASES.items():
        assert {spec.name for spec in specs} == {name}
        for field in type(specs[0]).model_fields.keys() - {"name"}:
            assert len({getattr(spec, field) for spec in specs}) > 1, f"{name}.{field} never varies"


@pytest.mark.parametrize("name", CASES)
def test_one_stack_of_many_settings_follows_torch(name: str) -> None:
    specs = CASES[name]
    start, gradient = _problem(len(specs))
    parameters = start.clone()
    _train(StackOptimizer(specs, SIZE, CPU), specs, parameters, gradient, range(STEPS))
    for member, spec in enumerate(specs):
        _assert_close(parameters[member], _oracle(spec, start[member], gradient))


def test_a_mixed_stack_that_loses_members_on_the_way_follows_torch() -> None:
    # Families alternate, so that dropping members merges runs that were apart.
    specs = [spec for trio in zip(*CASES.values(), strict=False) for spec in trio]
    start, gradient = _problem(len(specs))
    parameters = start.clone()
    optimizer = StackOptimizer(specs, SIZE, CPU)
    _train(optimizer, specs, parameters, gradient, range(70))
    kept = [0, 3, 6, 7, 10, 11, 12, 14, 17]
    optimizer.keep(kept)
    rest, rest_of_parameters = [specs[k] for k in kept], parameters[kept]
    _train(optimizer, rest, rest_of_parameters, gradient, range(70, 150))
    again = [1, 2, 5, 8]
    optimizer.keep(again)
    last, last_parameters = [rest[k] for k in again], rest_of_parameters[again]
    _train(optimizer, last, last_parameters, gradient, range(150, STEPS))
    for member, position in enumerate(again):
        _assert_close(last_parameters[member], _oracle(last[member], start[kept[position]], gradient))


@pytest.mark.parametrize("spec", ALL, ids=str)
def test_a_member_alone_is_bitwise_the_member_in_the_stack(spec: Component) -> None:
    start, gradient = _problem(len(ALL))
    together = start.clone()
    _train(StackOptimizer(ALL, SIZE, CPU), ALL, together, gradient, range(30))
    member = ALL.index(spec)
    alone = start[member : member + 1].clone()
    _train(StackOptimizer([spec], SIZE, CPU), [spec], alone, gradient, range(30))
    assert torch.equal(alone[0], together[member])


def test_a_saved_state_goes_on_bitwise() -> None:
    start, gradient = _problem(len(ALL))
    parameters = start.clone()
    first = StackOptimizer(ALL, SIZE, CPU)
    _train(first, ALL, parameters, gradient, range(20))
    saved = {name: tensor.clone() for name, tensor in first.state_tensors().items()}
    resumed = parameters.clone()
    _train(first, ALL, parameters, gradient, range(20, 40))
    second = StackOptimizer(ALL, SIZE, CPU)
    second.load_state_tensors(saved)
    _train(second, ALL, resumed, gradient, range(20, 40))
    assert torch.equal(parameters, resumed)


def test_a_state_that_lacks_a_buffer_is_refused() -> None:
    optimizer = StackOptimizer([Adam()], SIZE, CPU)
    with pytest.raises(KeyError, match="square"):
        optimizer.load_state_tensors({"steps": torch.zeros(1, 1), "0.mean": torch.zeros(1, SIZE)})


def test_a_member_that_turned_nan_leaves_the_others_as_they_are() -> None:
    start, gradient = _problem(len(ALL))
    expected = start.clone()
    _train(StackOptimizer(ALL, SIZE, CPU), ALL, expected, gradient, range(10))
    broken = start.clone()
    broken[3] = float("nan")
    broken[9] = float("inf")
    _train(StackOptimizer(ALL, SIZE, CPU), ALL, broken, gradient, range(10))
    healthy = [member for member in range(len(ALL)) if member not in (3, 9)]
    assert torch.equal(broken[healthy], expected[healthy])
    assert not broken[[3, 9]].isfinite().any()


def test_dampening_equal_to_momentum_is_plain_momentum_with_a_smaller_step() -> None:
    """v ← μv − (1−μ)g takes the steps of v ← μv − g at (1−μ)η, but for the first v, which torch does not damp."""
    start, gradient = _problem(1)
    frozen = [gradient(start, step) for step in range(100)]
    ends = []
    for spec in (Sgd(lr=0.1, momentum=0.5, dampening=0.5), Sgd(lr=0.05, momentum=0.5)):
        parameters, optimizer = start.clone(), StackOptimizer([spec], SIZE, CPU)
        for gradients in frozen:
            optimizer.step(parameters, gradients.clone(), torch.tensor([spec.lr], dtype=torch.float64))
        ends.append(parameters)
    # The first gradient counts μ more than it should, in steps that add up to ημ/(1−μ) = η.
    torch.testing.assert_close(ends[1] - ends[0], 0.1 * frozen[0], rtol=0, atol=1e-4)
