"""Optimizers that scale the gradient parameter by parameter, and the fields that optimizers share."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from raydnn.spec.base import Component, parameter


def learning_rate(default: float, search: str) -> Any:
    """The field `lr`."""
    return parameter(default, "learning rate η", gt=0, search=search)


def l2_decay(search: str = "loguniform(1e-7, 1e-2)") -> Any:
    """The field `weight_decay` of an optimizer that adds λθ to the gradient."""
    return parameter(0.0, "L2 coefficient λ", ge=0, search=search, descends=(0.0,))


def decoupled_decay(default: float, search: str) -> Any:
    """The field `weight_decay` of an optimizer that shrinks the parameters themselves."""
    return parameter(default, "decoupled decay λ", ge=0, search=search)


def bias_decay() -> Any:
    """The field `decay_bias`."""
    return parameter(
        True,
        "whether what is neither a weight nor an embedding (biases, normalization parameters) decays, too",
        search="choice(false, true)",
    )


def mean_decay() -> Any:
    """The field `beta1`."""
    return parameter(0.9, "decay β₁ of the mean", ge=0, lt=1, search="one_minus(loguniform(0.02, 0.5))")


def square_decay(default: float = 0.999, search: str | None = "one_minus(loguniform(1e-4, 0.1))") -> Any:
    """The field `beta2`."""
    return parameter(default, "decay β₂ of the mean square", ge=0, lt=1, search=search)


def epsilon(default: float) -> Any:
    """The field `eps`."""
    return parameter(default, "ε, keeps the divisor above 0", gt=0)


class RmsProp(Component):
    """The gradient over the root of a moving mean of its squares."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  s ← αs + (1−α)g²;  u ← μu + g/(√s + ε);  θ ← θ − ηu  (centered: √(s − a²), a ← αa + (1−α)g)"
    )
    note: ClassVar[str] = (
        "ε is added to the root, as in torch; Keras adds it to the squares beneath the root, where the "
        "same ε weighs far more."
    )
    source: ClassVar[str] = "Tieleman & Hinton 2012; torch.optim.RMSprop"

    name: Literal["rmsprop"] = "rmsprop"
    lr: float = learning_rate(1e-3, "loguniform(1e-4, 1e-2)")
    alpha: float = parameter(
        0.9, "decay α of the mean square", ge=0, lt=1, search="one_minus(loguniform(1e-3, 0.5))"
    )
    eps: float = epsilon(1e-7)
    momentum: float = parameter(0.0, "momentum μ", ge=0, lt=1, search="one_minus(loguniform(0.02, 1))")
    centered: bool = parameter(
        False, "divide by the standard deviation instead", search="choice(false, true)"
    )
    weight_decay: float = l2_decay()
    decay_bias: bool = bias_decay()


class Adagrad(Component):
    """The gradient over the root of the sum of all its squares: steps that shrink where it has been large."""

    formula: ClassVar[str] = "g ← g + λθ;  s ← s + g²;  θ ← θ − η/(1 + (t−1)δ) · g/(√(s₀ + s) + ε)"
    note: ClassVar[str] = (
        "ε is added to the root, as in torch; Keras adds it to the squares beneath the root, where the "
        "same ε weighs far more."
    )
    source: ClassVar[str] = "Duchi et al. 2011; torch.optim.Adagrad"

    name: Literal["adagrad"] = "adagrad"
    lr: float = learning_rate(0.01, "loguniform(1e-3, 1)")
    lr_decay: float = parameter(0.0, "decay δ of the learning rate", ge=0)
    eps: float = epsilon(1e-10)
    initial_accumulator: float = parameter(0.0, "sum of squares s₀ at the start", ge=0)
    weight_decay: float = l2_decay()
    decay_bias: bool = bias_decay()


class Adadelta(Component):
    """Steps whose size is a moving mean of past steps' sizes, so that no learning rate needs to be tuned."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  s ← ρs + (1−ρ)g²;  Δ = √(d + ε)/√(s + ε) · g;  d ← ρd + (1−ρ)Δ²;  θ ← θ − ηΔ"
    )
    note: ClassVar[str] = "ε stands beneath both roots, as in torch and Keras."
    source: ClassVar[str] = "Zeiler 2012, arXiv:1212.5701; torch.optim.Adadelta"

    name: Literal["adadelta"] = "adadelta"
    lr: float = learning_rate(1.0, "loguniform(0.1, 10)")
    rho: float = parameter(
        0.95, "decay ρ of both mean squares", ge=0, lt=1, search="one_minus(loguniform(0.01, 0.5))"
    )
    eps: float = parameter(1e-6, "ε, sets the size of the first steps", gt=0, search="loguniform(1e-8, 1e-4)")
    weight_decay: float = l2_decay()
    decay_bias: bool = bias_decay()


class Adam(Component):
    """Adaptive moments with bias correction; weight decay in its L2 form."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  θ ← θ − η·m̂/(√v̂ + ε), "
        "m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)  (AMSGrad: the largest v so far)"
    )
    note: ClassVar[str] = (
        "ε is added to √v̂, as in torch; Keras adds it to √v before the correction, so that its ε counts "
        "as ε/√(1−β₂ᵗ), more in the first steps."
    )
    source: ClassVar[str] = "Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adam"

    name: Literal["adam"] = "adam"
    lr: float = learning_rate(1e-3, "loguniform(1e-4, 1e-2)")
    beta1: float = mean_decay()
    beta2: float = square_decay()
    eps: float = epsilon(1e-8)
    amsgrad: bool = parameter(False, "divide by the largest mean square so far", search="choice(false, true)")
    weight_decay: float = l2_decay()
    decay_bias: bool = bias_decay()


class Adamax(Component):
    """Adam with the largest gradient, forgotten slowly, in place of the root of the mean square."""

    formula: ClassVar[str] = "g ← g + λθ;  m as in Adam;  u ← max(β₂u, |g| + ε);  θ ← θ − η/(1−β₁ᵗ) · m/u"
    note: ClassVar[str] = "ε is added to |g| before the maximum is taken, as in torch; Keras adds it to u."
    source: ClassVar[str] = "Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adamax"

    name: Literal["adamax"] = "adamax"
    lr: float = learning_rate(2e-3, "loguniform(1e-4, 1e-2)")
    beta1: float = mean_decay()
    beta2: float = square_decay()
    eps: float = epsilon(1e-8)
    weight_decay: float = l2_decay()
    decay_bias: bool = bias_decay()


class Nadam(Component):
    """Adam with Nesterov momentum, which grows towards β₁ in the first steps."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  m, v̂ as in Adam;  μₜ = β₁(1 − ½·0.96^(tψ));  "
        "θ ← θ − η[μₜ₊₁m/(1 − μ₁⋯μₜ₊₁) + (1−μₜ)g/(1 − μ₁⋯μₜ)]/(√v̂ + ε)"
    )
    note: ClassVar[str] = "ε is added to √v̂, as in torch and Keras."
    source: ClassVar[str] = "Dozat 2016; torch.optim.NAdam"

    name: Literal["nadam"] = "nadam"
    lr: float = learning_rate(2e-3, "loguniform(1e-4, 1e-2)")
    beta1: float = mean_decay()
    beta2: float = square_decay()
    eps: float = epsilon(1e-8)
    momentum_decay: float = parameter(4e-3, "ψ, how fast the momentum grows; Keras' is 1", ge=0)
    weight_decay: float = l2_decay()
    decay_bias: bool = bias_decay()


class AdamW(Component):
    """Adam with decoupled weight decay."""

    formula: ClassVar[str] = "θ ← θ − ηλθ;  then Adam's step without λ in the gradient"
    note: ClassVar[str] = (
        "ε is added to √v̂, as in torch; Keras adds it to √v before the correction, so that its ε counts "
        "as ε/√(1−β₂ᵗ), more in the first steps."
    )
    source: ClassVar[str] = "Loshchilov & Hutter 2019, arXiv:1711.05101; torch.optim.AdamW"

    name: Literal["adamw"] = "adamw"
    lr: float = learning_rate(1e-3, "loguniform(1e-4, 1e-2)")
    beta1: float = mean_decay()
    beta2: float = square_decay()
    eps: float = epsilon(1e-8)
    weight_decay: float = decoupled_decay(1e-2, "loguniform(5e-3, 1)")
    decay_bias: bool = bias_decay()


class RAdam(Component):
    """Adam that steps along the mean alone until the mean square is known well enough."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  m̂, v as in Adam;  θ ← θ − η·r·m̂·√(1−β₂ᵗ)/(√v + ε) once ρₜ > 5, before that θ ← θ − ηm̂; "
        "ρₜ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ), ρ∞ = 2/(1−β₂) − 1, r² = (ρₜ−4)(ρₜ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρₜ)"
    )
    note: ClassVar[str] = "ε is added to √v before the correction, as in torch; Keras has no RAdam."
    source: ClassVar[str] = "Liu et al. 2020, arXiv:1908.03265; torch.optim.RAdam"

    name: Literal["radam"] = "radam"
    lr: float = learning_rate(1e-3, "loguniform(1e-4, 1e-2)")
    beta1: float = mean_decay()
    beta2: float = square_decay()
    eps: float = epsilon(1e-8)
    weight_decay: float = l2_decay()
    decay_bias: bool = bias_decay()
