"""Adam and its relatives: steps along a mean of the gradients, scaled by a mean of their squares."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.optim.step import State, Step, add_l2, decay


def adam(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − η·m̂/(√v̂ + ε); decay λθ is added to g.

    AMSGrad divides by the largest v so far (Reddi et al. 2018, arXiv:1904.09237). Keras' Adam adds its ε to √v
    before v is corrected: ours is ε/√(1−β₂ᵗ) there.
    """
    add_l2(parameters, gradients, step)
    adam_step(parameters, gradients, state, step)


def adamw(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ(1 − ηλ), then Adam's step with the plain gradient."""
    decay(parameters, step)
    adam_step(parameters, gradients, state, step)


def adam_step(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ − η·m̂/(√v̂ + ε)."""
    hyper, dtype = step.hyper, parameters.dtype
    mean, square = _moments(gradients, state, step)
    if "amsgrad" in step.used:
        largest = torch.maximum(state["largest_square"], square, out=state["largest_square"])
        square = torch.where(hyper["amsgrad"], largest, square)
    root_correction = (1 - hyper["beta2"] ** step.number).sqrt().to(dtype)
    denominator = torch.sqrt(square, out=gradients).div_(root_correction).add_(hyper["eps"].to(dtype))
    parameters.addcmul_(mean / denominator, -(step.lr / (1 - hyper["beta1"] ** step.number)).to(dtype))


def adamax(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """m as in Adam, u ← max(β₂u, |g| + ε), θ ← θ − η/(1−β₁ᵗ) · m/u.

    Keras' Adamax adds ε where it divides, m/(u + ε), and not inside the maximum.
    """
    add_l2(parameters, gradients, step)
    hyper, dtype = step.hyper, parameters.dtype
    mean = state["mean"].lerp_(gradients, (1 - hyper["beta1"]).to(dtype))
    largest = state["largest"].mul_(hyper["beta2"].to(dtype))
    torch.maximum(largest, gradients.abs_().add_(hyper["eps"].to(dtype)), out=largest)
    parameters.addcmul_(mean / largest, -(step.lr / (1 - hyper["beta1"] ** step.number)).to(dtype))


def nadam(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ − η[μₜ₊₁m/(1 − ∏μᵢ₍ᵢ≤ₜ₊₁₎) + (1−μₜ)g/(1 − ∏μᵢ₍ᵢ≤ₜ₎)]/(√v̂ + ε), μₜ = β₁(1 − ½·0.96^(tψ)).

    Keras' Nadam is the same with the momentum decay ψ = 1.
    """
    add_l2(parameters, gradients, step)
    hyper, dtype = step.hyper, parameters.dtype
    now, then = (
        hyper["beta1"] * (1 - 0.5 * 0.96 ** (number * hyper["momentum_decay"]))
        for number in (step.number, step.number + 1)
    )
    product = state["log_product"].add_(now.log()).exp()
    mean, square = _moments(gradients, state, step)
    root_correction = (1 - hyper["beta2"] ** step.number).sqrt().to(dtype)
    denominator = square.sqrt().div_(root_correction).add_(hyper["eps"].to(dtype))
    ahead = gradients.mul_((step.lr * (1 - now) / (1 - product)).to(dtype))
    ahead.addcmul_(mean, (step.lr * then / (1 - product * then)).to(dtype))
    parameters.sub_(ahead.div_(denominator))


def radam(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ − η·r·m̂·√(1−β₂ᵗ)/(√v + ε) once ρₜ > 5, before that θ ← θ − ηm̂.

    ρₜ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ), ρ∞ = 2/(1−β₂) − 1, r² = (ρₜ−4)(ρₜ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρₜ).
    """
    add_l2(parameters, gradients, step)
    hyper, dtype = step.hyper, parameters.dtype
    mean, square = _moments(gradients, state, step)
    power = hyper["beta2"] ** step.number
    limit = 2 / (1 - hyper["beta2"]) - 1
    length = limit - 2 * step.number * power / (1 - power)
    rectification = ((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)).sqrt()
    certain = length > 5
    lr = step.lr / (1 - hyper["beta1"] ** step.number)
    lr = lr * torch.where(certain, rectification * (1 - power).sqrt(), 1.0)
    denominator = torch.where(certain, square.sqrt().add_(hyper["eps"].to(dtype)), 1.0)
    parameters.addcmul_(mean / denominator, -lr.to(dtype))


def _moments(gradients: Tensor, state: State, step: Step) -> tuple[Tensor, Tensor]:
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², in place."""
    beta1, beta2, dtype = step.hyper["beta1"], step.hyper["beta2"], gradients.dtype
    mean = state["mean"].lerp_(gradients, (1 - beta1).to(dtype))
    square = state["square"].mul_(beta2.to(dtype)).addcmul_(gradients.square(), (1 - beta2).to(dtype))
    return mean, square
