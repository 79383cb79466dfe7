"""RMSprop, Adagrad and Adadelta: steps scaled, parameter by parameter, by past squared gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.optim.optimizers.step import Coefficients, Horizon, State, Step, add_l2


def rmsprop_coefficients(plan: Horizon) -> Coefficients:
    """−η, 1 − α, ε, μ, λ."""
    names = ("eps", "momentum", "centered", "weight_decay")
    return {"minus_lr": -plan.lr, "blend": 1 - plan["alpha"], **{name: plan[name] for name in names}}


def rmsprop(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """s ← αs + (1−α)g², u ← μu + g/(√s + ε), θ ← θ − ηu; centered: √(s − a²) with a ← αa + (1−α)g.

    Keras' RMSprop has ε inside the root, √(s + ε), and η inside the velocity, u ← μu + ηg/√(s + ε): without
    momentum, or with a constant η, only ε differs.
    """
    add_l2(parameters, gradients, step)
    square = state["square"].lerp_(gradients.square(), step["blend"])
    if "centered" in step.used:
        mean = state["mean"].lerp_(gradients, step["blend"])
        # Rounding may put the variance of a steady gradient below 0.
        variance = torch.addcmul(square, mean, mean, value=-1).clamp_(min=0)
        square = torch.where(step["centered"], variance, square)
    scaled = gradients.div_(square.sqrt().add_(step["eps"]))
    if "momentum" in step.used:
        scaled = state["velocity"].mul_(step["momentum"]).add_(scaled)
    parameters.addcmul_(scaled, step["minus_lr"])


def adagrad_coefficients(plan: Horizon) -> Coefficients:
    """−η/(1 + (t−1)δ), s₀, ε, λ."""
    names = ("initial_accumulator", "eps", "weight_decay")
    rate = plan.lr / (1 + (plan.number - 1) * plan["lr_decay"])
    return {"minus_lr": -rate, **{name: plan[name] for name in names}}


def adagrad(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """s ← s + g², θ ← θ − η/(1 + (t−1)δ) · g/(√(s₀ + s) + ε).

    Keras' Adagrad has ε inside the root, √(s₀ + s + ε), and begins with s₀ = 0.1.
    """
    add_l2(parameters, gradients, step)
    total = state["square_sum"].addcmul_(gradients, gradients)
    if "initial_accumulator" in step.used:
        total = total + step["initial_accumulator"]
    scaled = gradients.div_(total.sqrt().add_(step["eps"]))
    parameters.addcmul_(scaled, step["minus_lr"])


def adadelta_coefficients(plan: Horizon) -> Coefficients:
    """−η, 1 − ρ, ε, λ."""
    names = ("eps", "weight_decay")
    return {"minus_lr": -plan.lr, "blend": 1 - plan["rho"], **{name: plan[name] for name in names}}


def adadelta(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """s ← ρs + (1−ρ)g², Δ = √(d + ε)/√(s + ε) · g, d ← ρd + (1−ρ)Δ², θ ← θ − ηΔ.

    Keras' Adadelta is the same; its ε is 1e-7.
    """
    add_l2(parameters, gradients, step)
    square = state["square"].lerp_(gradients.square(), step["blend"])
    distance = state["square_distance"]
    change = (distance + step["eps"]).sqrt_().div_((square + step["eps"]).sqrt_()).mul_(gradients)
    distance.lerp_(change.square(), step["blend"])
    parameters.addcmul_(change, step["minus_lr"])
