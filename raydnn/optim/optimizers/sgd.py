"""Stochastic gradient descent and Lion: steps along a velocity, not scaled parameter by parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.optim.optimizers.step import Coefficients, Horizon, State, Step, add_l2, decay, shrinking


def sgd_coefficients(plan: Horizon) -> Coefficients:
    """−η, μ, λ, and what a gradient adds to the velocity: 1 − d, but 1 at the first step and without momentum.

    With Nesterov's momentum −η is multiplied by μ for the velocity, and 0 without it for the gradient.
    """
    momentum, nesterov = plan["momentum"], plan["nesterov"]
    return {
        "minus_lr": -plan.lr,
        "minus_lr_velocity": -plan.lr * torch.where(nesterov, momentum, 1.0),
        "minus_lr_ahead": -plan.lr * nesterov,
        "momentum": momentum,
        "undamped": torch.where((plan.number == 1) | (momentum == 0), 1.0, 1 - plan["dampening"]),
        "weight_decay": plan["weight_decay"],
    }


def sgd(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """v ← μv + (1−d)g, θ ← θ − ηv, or with Nesterov θ ← θ − η(g + μv); the first v is g, as in torch.

    Keras' SGD keeps −ηv as its velocity: the same path as long as η does not change.
    """
    add_l2(parameters, gradients, step)
    if "momentum" not in step.used:
        parameters.addcmul_(gradients, step["minus_lr"])
        return
    velocity = state["velocity"].mul_(step["momentum"])
    if "dampening" in step.used:
        velocity.addcmul_(gradients, step["undamped"])
    else:
        velocity.add_(gradients)
    if "nesterov" in step.used:
        parameters.addcmul_(gradients, step["minus_lr_ahead"])
    parameters.addcmul_(velocity, step["minus_lr_velocity"])


def lion_coefficients(plan: Horizon) -> Coefficients:
    """−η, 1 − β₁, 1 − β₂, 1 − ηλ."""
    return {
        "minus_lr": -plan.lr,
        "blend1": 1 - plan["beta1"],
        "blend2": 1 - plan["beta2"],
        "shrinking": shrinking(plan),
    }


def lion(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ(1 − ηλ) − η·sign(β₁m + (1−β₁)g), then m ← β₂m + (1−β₂)g.

    Keras' Lion is the same.
    """
    decay(parameters, step)
    mean = state["mean"]
    direction = torch.lerp(mean, gradients, step["blend1"]).sign_()
    mean.lerp_(gradients, step["blend2"])
    parameters.addcmul_(direction, step["minus_lr"])
