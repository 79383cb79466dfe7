"""RMSprop, Adagrad and Adadelta: steps scaled, parameter by parameter, by past squared gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.optim.step import State, Step, add_l2


def rmsprop(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """s ← αs + (1−α)g², u ← μu + g/(√s + ε), θ ← θ − ηu; centered: √(s − a²) with a ← αa + (1−α)g.

    Keras' RMSprop has ε inside the root, √(s + ε), and η inside the velocity, u ← μu + ηg/√(s + ε): without
    momentum, or with a constant η, only ε differs.
    """
    add_l2(parameters, gradients, step)
    hyper, dtype = step.hyper, parameters.dtype
    blend = (1 - hyper["alpha"]).to(dtype)
    square = state["square"].mul_(hyper["alpha"].to(dtype)).addcmul_(gradients.square(), blend)
    if "centered" in step.used:
        mean = state["mean"].lerp_(gradients, blend)
        # Rounding may put the variance of a steady gradient below 0.
        variance = torch.addcmul(square, mean, mean, value=-1).clamp_(min=0)
        square = torch.where(hyper["centered"], variance, square)
    scaled = gradients.div_(square.sqrt().add_(hyper["eps"].to(dtype)))
    if "momentum" in step.used:
        scaled = state["velocity"].mul_(hyper["momentum"].to(dtype)).add_(scaled)
    parameters.addcmul_(scaled, -step.lr.to(dtype))


def adagrad(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """s ← s + g², θ ← θ − η/(1 + (t−1)δ) · g/(√(s₀ + s) + ε).

    Keras' Adagrad has ε inside the root, √(s₀ + s + ε), and begins with s₀ = 0.1.
    """
    add_l2(parameters, gradients, step)
    hyper, dtype = step.hyper, parameters.dtype
    total = state["square_sum"].addcmul_(gradients, gradients)
    if "initial_accumulator" in step.used:
        total = total + hyper["initial_accumulator"].to(dtype)
    scaled = gradients.div_(total.sqrt().add_(hyper["eps"].to(dtype)))
    lr = step.lr / (1 + (step.number - 1) * hyper["lr_decay"])
    parameters.addcmul_(scaled, -lr.to(dtype))


def adadelta(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """s ← ρs + (1−ρ)g², Δ = √(d + ε)/√(s + ε) · g, d ← ρd + (1−ρ)Δ², θ ← θ − ηΔ.

    Keras' Adadelta is the same; its ε is 1e-7.
    """
    add_l2(parameters, gradients, step)
    hyper, dtype = step.hyper, parameters.dtype
    rho, blend, eps = (x.to(dtype) for x in (hyper["rho"], 1 - hyper["rho"], hyper["eps"]))
    square = state["square"].mul_(rho).addcmul_(gradients.square(), blend)
    distance = state["square_distance"]
    change = (distance + eps).sqrt_().div_((square + eps).sqrt_()).mul_(gradients)
    distance.mul_(rho).addcmul_(change.square(), blend)
    parameters.addcmul_(change, -step.lr.to(dtype))
