"""Optimizers: one in-place update a family, for any number of members at once.

Every function updates `parameters` (n, P) of n members from `gradients` (n, P), which it may overwrite;
`lr` and all hyperparameters are float64 columns (n, 1), rounded once to the parameters' precision where they are used;
`step` (n, 1) counts from 1. A member's row never touches another's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Columns = Mapping[str, Tensor]
State = Mapping[str, Tensor]
Update = Callable[[Tensor, Tensor, State, Tensor, Tensor, Columns, frozenset[str]], None]


@dataclass(frozen=True)
class Family:
    """An optimizer's update, and the names of the buffers it keeps for the parameters it uses."""

    update: Update
    buffers: Callable[[frozenset[str]], tuple[str, ...]]


def sgd(
    parameters: Tensor,
    gradients: Tensor,
    state: State,
    lr: Tensor,
    step: Tensor,
    hyper: Columns,
    used: frozenset[str],
) -> None:
    """v ← μv + (1−d)g, θ ← θ − ηv, or with Nesterov θ ← θ − η(g + μv); the first v is g, as in torch."""
    if "weight_decay" in used:
        gradients.addcmul_(parameters, hyper["weight_decay"].float())
    if "momentum" not in used:
        parameters.addcmul_(gradients, -lr.float())
        return
    velocity = state["velocity"]
    velocity.mul_(hyper["momentum"].float())
    if "dampening" in used:
        kept = torch.where((step == 1) | (hyper["momentum"] == 0), 1.0, 1 - hyper["dampening"])
        velocity.addcmul_(gradients, kept.float())
    else:
        velocity.add_(gradients)
    if "nesterov" in used:
        ahead = gradients.addcmul_(velocity, hyper["momentum"].float())
        parameters.addcmul_(torch.where(hyper["nesterov"], ahead, velocity), -lr.float())
    else:
        parameters.addcmul_(velocity, -lr.float())


def adam(
    parameters: Tensor,
    gradients: Tensor,
    state: State,
    lr: Tensor,
    step: Tensor,
    hyper: Columns,
    used: frozenset[str],
) -> None:
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − η·m̂/(√v̂ + ε); decay λθ is added to g."""
    if "weight_decay" in used:
        gradients.addcmul_(parameters, hyper["weight_decay"].float())
    _adaptive_step(parameters, gradients, state, lr, step, hyper)


def adamw(
    parameters: Tensor,
    gradients: Tensor,
    state: State,
    lr: Tensor,
    step: Tensor,
    hyper: Columns,
    used: frozenset[str],
) -> None:
    """θ ← θ(1 − ηλ), then Adam's step with the plain gradient."""
    if "weight_decay" in used:
        parameters.mul_((1 - lr * hyper["weight_decay"]).float())
    _adaptive_step(parameters, gradients, state, lr, step, hyper)


def _adaptive_step(
    parameters: Tensor, gradients: Tensor, state: State, lr: Tensor, step: Tensor, hyper: Columns
) -> None:
    mean, square = state["mean"], state["square"]
    beta1, beta2 = hyper["beta1"], hyper["beta2"]
    mean.lerp_(gradients, (1 - beta1).float())
    square.mul_(beta2.float()).addcmul_(gradients.square(), (1 - beta2).float())
    root_correction = (1 - beta2**step).sqrt().float()
    denominator = torch.sqrt(square, out=gradients).div_(root_correction).add_(hyper["eps"].float())
    parameters.addcmul_(mean / denominator, -(lr / (1 - beta1**step)).float())


def _velocity_if_momentum(used: frozenset[str]) -> tuple[str, ...]:
    return ("velocity",) if "momentum" in used else ()


def _two_moments(_used: frozenset[str]) -> tuple[str, ...]:
    return ("mean", "square")


OPTIMIZERS: dict[str, Family] = {
    "sgd": Family(sgd, _velocity_if_momentum),
    "adam": Family(adam, _two_moments),
    "adamw": Family(adamw, _two_moments),
}
"""Name → implementation; the names are those of raydnn.spec.optimizer."""
