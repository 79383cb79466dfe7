"""Adam and its relatives: steps along a mean of the gradients, scaled by a mean of their squares."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.optim.optimizers.step import Coefficients, Horizon, State, Step, add_l2, decay, shrinking


def adam_coefficients(plan: Horizon) -> Coefficients:
    """−η√(1 − β₂ᵗ)/(1 − β₁ᵗ), ε√(1 − β₂ᵗ), and those of the moments and of weight decay."""
    return {**_of_corrected(plan), "amsgrad": plan["amsgrad"]}


def adamw_coefficients(plan: Horizon) -> Coefficients:
    """−η√(1 − β₂ᵗ)/(1 − β₁ᵗ), ε√(1 − β₂ᵗ), 1 − ηλ, and those of the moments."""
    return {**_of_corrected(plan), "shrinking": shrinking(plan)}


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
    mean, square = _moments(gradients, state, step)
    if "amsgrad" in step.used:
        largest = torch.maximum(state["largest_square"], square, out=state["largest_square"])
        square = torch.where(step["amsgrad"], largest, square)
    denominator = torch.sqrt(square, out=gradients).add_(step["eps"])
    parameters.addcmul_(torch.div(mean, denominator, out=denominator), step["minus_lr"])


def adamax_coefficients(plan: Horizon) -> Coefficients:
    """−η/(1 − β₁ᵗ), and those of the moments and of weight decay."""
    return {**_of_moments(plan), "minus_lr": -plan.lr / (1 - plan["beta1"] ** plan.number)}


def adamax(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """m as in Adam, u ← max(β₂u, |g| + ε), θ ← θ − η/(1−β₁ᵗ) · m/u.

    Keras' Adamax adds ε where it divides, m/(u + ε), and not inside the maximum.
    """
    add_l2(parameters, gradients, step)
    mean = state["mean"].lerp_(gradients, step["blend1"])
    largest = state["largest"].mul_(step["beta2"])
    # Not in place: the gaps between parameters must keep gradients of 0.
    torch.maximum(largest, gradients.abs().add_(step["eps"]), out=largest)
    parameters.addcmul_(mean / largest, step["minus_lr"])


def nadam_coefficients(plan: Horizon) -> Coefficients:
    """c = √(1 − β₂ᵗ), −cημₜ₊₁/(1 − ∏μᵢ₍ᵢ≤ₜ₊₁₎), −cη(1−μₜ)/(1 − ∏μᵢ₍ᵢ≤ₜ₎), μₜ = β₁(1 − ½·0.96^(tψ)), cε, moments'."""
    now, then = (
        plan["beta1"] * (1 - 0.5 * 0.96 ** (number * plan["momentum_decay"]))
        for number in (plan.number, plan.number + 1)
    )
    # Summed in one chain, so that it does not matter over how many plans the steps are spread.
    log_product = torch.cat((plan.columns["log_product"].unsqueeze(0), now.log())).cumsum(dim=0)[1:]
    plan.columns["log_product"].copy_(log_product[-1])
    product = log_product.exp()
    root_correction = _root_correction(plan)
    return {
        **_of_moments(plan),
        "eps": plan["eps"] * root_correction,
        "minus_lr_gradient": -plan.lr * root_correction * (1 - now) / (1 - product),
        "minus_lr_mean": -plan.lr * root_correction * then / (1 - product * then),
    }


def nadam(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ − η[μₜ₊₁m/(1 − ∏μᵢ₍ᵢ≤ₜ₊₁₎) + (1−μₜ)g/(1 − ∏μᵢ₍ᵢ≤ₜ₎)]/(√v̂ + ε), μₜ = β₁(1 − ½·0.96^(tψ)).

    Keras' Nadam is the same with the momentum decay ψ = 1.
    """
    add_l2(parameters, gradients, step)
    mean, square = _moments(gradients, state, step)
    denominator = square.sqrt().add_(step["eps"])
    ahead = gradients.mul_(step["minus_lr_gradient"]).addcmul_(mean, step["minus_lr_mean"])
    parameters.addcdiv_(ahead, denominator)


def radam_coefficients(plan: Horizon) -> Coefficients:
    """ρₜ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ), ρ∞ = 2/(1−β₂) − 1, r² = (ρₜ−4)(ρₜ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρₜ); certain: ρₜ > 5."""
    power = plan["beta2"] ** plan.number
    limit = 2 / (1 - plan["beta2"]) - 1
    length = limit - 2 * plan.number * power / (1 - power)
    rectification = ((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)).sqrt()
    certain = length > 5
    rate = plan.lr / (1 - plan["beta1"] ** plan.number)
    return {
        **_of_moments(plan),
        "certain": certain.double(),
        "eps": torch.where(certain, plan["eps"], 1.0),
        "minus_lr": -rate * torch.where(certain, rectification * (1 - power).sqrt(), 1.0),
    }


def radam(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ − η·r·m̂·√(1−β₂ᵗ)/(√v + ε) once ρₜ > 5, before that θ ← θ − ηm̂."""
    add_l2(parameters, gradients, step)
    mean, square = _moments(gradients, state, step)
    root = square.sqrt()
    # √v + ε where it is certain, else 0 + 1.
    denominator = torch.addcmul(step["eps"], root, step["certain"], out=root)
    parameters.addcmul_(torch.div(mean, denominator, out=denominator), step["minus_lr"])


def _of_moments(plan: Horizon) -> Coefficients:
    return {
        "blend1": 1 - plan["beta1"],
        "beta2": plan["beta2"],
        "blend2": 1 - plan["beta2"],
        "eps": plan["eps"],
        "weight_decay": plan["weight_decay"],
    }


def _of_corrected(plan: Horizon) -> Coefficients:
    """Those of m̂/(√v̂ + ε) as of m/(√v + ε'): the correction of √v once a step, and not for every parameter."""
    root_correction = _root_correction(plan)
    return {
        **_of_moments(plan),
        "eps": plan["eps"] * root_correction,
        "minus_lr": -plan.lr * root_correction / (1 - plan["beta1"] ** plan.number),
    }


def _root_correction(plan: Horizon) -> Tensor:
    """√(1 − β₂ᵗ)."""
    return (1 - plan["beta2"] ** plan.number).sqrt()


def _moments(gradients: Tensor, state: State, step: Step) -> tuple[Tensor, Tensor]:
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², in place."""
    mean = state["mean"].lerp_(gradients, step["blend1"])
    square = state["square"].lerp_(gradients.square(), step["blend2"])
    return mean, square
