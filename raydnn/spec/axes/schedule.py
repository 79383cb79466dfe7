"""Learning-rate schedules: the factor on the optimizer's learning rate η₀, as a function of the step t."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from raydnn.spec.base import Component, NameOrMapping, PositiveNumbers, parameter
from raydnn.spec.metrics import Metric


class WarmedUp(Component):
    """What every schedule has: a linear warm-up before its own step 0."""

    warmup_epochs: float = parameter(
        0.0, "length of the linear warm-up before the schedule begins, in epochs", ge=0
    )


def _floor() -> Any:
    """The field `alpha`."""
    return parameter(0.0, "floor α as a share of η₀", ge=0, le=1, search="uniform(0, 0.1)")


def _length() -> Any:
    """The field `decay_epochs` of a schedule that may take the whole training."""
    return parameter(None, "s, in epochs; null: what the warm-up leaves of the training", gt=0)


class Constant(WarmedUp):
    """The learning rate stays as it is."""

    formula: ClassVar[str] = "η = η₀"

    name: Literal["constant"] = "constant"


class Annealing(WarmedUp):
    """The learning rate loses a share β of itself after every epoch, or every step."""

    formula: ClassVar[str] = "η ← (1 − β)η: η = η₀(1 − β)^k after k epochs (or steps)"

    name: Literal["annealing"] = "annealing"
    beta: float = parameter(0.05, "share β", ge=0, lt=1, search="loguniform(1e-3, 0.5)")
    per: Literal["epoch", "step"] = parameter("epoch", "what is counted")


class Piecewise(WarmedUp):
    """The learning rate is another constant after each boundary."""

    formula: ClassVar[str] = "η = η₀ · factorᵢ from boundaryᵢ on, η = η₀ before the first"
    source: ClassVar[str] = "Keras PiecewiseConstantDecay; torch.optim.lr_scheduler.MultiStepLR"

    name: Literal["piecewise"] = "piecewise"
    boundaries_epochs: PositiveNumbers = parameter((5.0, 8.0), "boundaries, ascending, in epochs")
    factors: PositiveNumbers = parameter((0.1, 0.01), "factor on η₀ from each boundary on")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        boundaries, factors = self.boundaries_epochs, self.factors
        if len(boundaries) != len(factors):
            count = f"{len(boundaries)} boundaries_epochs and {len(factors)} factors"
            raise ValueError(f"{count}; allowed: one factor for each boundary")
        if any(a >= b for a, b in pairwise(boundaries)):
            raise ValueError(f"boundaries_epochs: {list(boundaries)}; allowed: each above the one before it")
        return self


class Exponential(WarmedUp):
    """The learning rate falls by a factor γ every s steps."""

    formula: ClassVar[str] = "η = η₀ γ^(t/s); staircase: the exponent is rounded down"
    source: ClassVar[str] = "Keras ExponentialDecay"

    name: Literal["exponential"] = "exponential"
    gamma: float = parameter(0.9, "factor γ for each s steps", gt=0, le=1, search="loguniform(0.3, 0.99)")
    decay_epochs: float = parameter(1.0, "s, in epochs", gt=0)
    staircase: bool = parameter(False, "fall in stairs", search="choice(false, true)")


class Power(WarmedUp):
    """The learning rate falls like a power of the time; p = 1 is inverse-time decay."""

    formula: ClassVar[str] = "η = η₀/(1 + γt/s)^p"
    source: ClassVar[str] = "Robbins & Monro 1951; Keras InverseTimeDecay"

    name: Literal["power"] = "power"
    gamma: float = parameter(1.0, "rate γ", ge=0, search="loguniform(0.01, 10)")
    decay_epochs: float = parameter(1.0, "s, in epochs", gt=0)
    exponent: float = parameter(1.0, "exponent p", ge=0, search="uniform(0.5, 1)")


class Polynomial(WarmedUp):
    """The learning rate falls to a floor along a polynomial; p = 1 is a straight line."""

    formula: ClassVar[str] = (
        "η = η₀[(1−α)(1 − min(t,s)/s)^p + α]; cycle: s grows to the next multiple of s that t has not passed"
    )
    source: ClassVar[str] = "Keras PolynomialDecay; torch.optim.lr_scheduler.PolynomialLR"

    name: Literal["polynomial"] = "polynomial"
    exponent: float = parameter(1.0, "exponent p", gt=0, search="uniform(0.5, 3)")
    alpha: float = _floor()
    decay_epochs: float | None = _length()
    cycle: bool = parameter(False, "begin again, from lower each time, after s")


class Performance(WarmedUp):
    """The learning rate falls when the monitored value stops improving."""

    formula: ClassVar[str] = (
        "η ← max(η·factor, min_lr) after `patience` epochs without an improvement of more than "
        "`min_delta`; neither `cooldown` epochs after that nor those of the warm-up are counted"
    )
    source: ClassVar[str] = (
        "keras.callbacks.ReduceLROnPlateau; torch's, with threshold_mode='abs', waits for patience + 1 epochs"
    )

    name: Literal["performance"] = "performance"
    monitor: Metric = parameter("validation_loss", "column of `epochs` that is watched")
    factor: float = parameter(0.5, "factor on the learning rate", gt=0, lt=1, search="uniform(0.1, 0.8)")
    patience: int = parameter(
        5,
        "epochs without improvement after which the learning rate falls, as early stopping counts them; 0 is 1",
        ge=0,
        search="randint(1, 5)",
    )
    min_delta: float = parameter(0.0, "smallest change that counts as improvement", ge=0)
    cooldown: int = parameter(0, "epochs after a reduction that are not counted", ge=0)
    min_lr: float = parameter(0.0, "the learning rate never falls below this", ge=0)


class Cosine(WarmedUp):
    """The learning rate falls along half a cosine to a floor."""

    formula: ClassVar[str] = "η = η₀[(1−α)(1 + cos(π min(t,s)/s))/2 + α]"
    source: ClassVar[str] = "Loshchilov & Hutter 2017, arXiv:1608.03983"

    name: Literal["cosine"] = "cosine"
    alpha: float = _floor()
    decay_epochs: float | None = _length()


class CosineRestarts(WarmedUp):
    """Half a cosine again and again, each cycle longer and with a lower peak than the one before."""

    formula: ClassVar[str] = (
        "η = η₀[(1−α) mⁱ(1 + cos πf)/2 + α], f the share that has passed of cycle i = 0, 1, ..., "
        "whose length is s·t_mulⁱ; m = m_mul"
    )
    source: ClassVar[str] = "Loshchilov & Hutter 2017, arXiv:1608.03983; Keras CosineDecayRestarts"

    name: Literal["cosine_restarts"] = "cosine_restarts"
    cycle_epochs: float = parameter(1.0, "length s of the first cycle, in epochs", gt=0)
    t_mul: float = parameter(
        2.0, "factor on the length of each next cycle", ge=1, search="choice(1.0, 1.5, 2.0)"
    )
    m_mul: float = parameter(
        0.5, "factor on the peak of each next cycle", gt=0, le=1, search="uniform(0.3, 1)"
    )
    alpha: float = _floor()


class OneCycle(WarmedUp):
    """Up to η₀ and back while the momentum falls and rises again, then down to nearly nothing."""

    formula: ClassVar[str] = (
        "η from low·η₀ to η₀ in r of the training, back in r, and down to final·η₀ in the rest; "
        "the momentum from high to low, back, and high"
    )
    note: ClassVar[str] = (
        "With cycle_momentum the momentum goes between momentum_high and momentum_low, whatever the "
        "optimizer's own momentum (or β₁) is, also one that a sweep searches: cycle_momentum: false "
        "leaves it."
    )
    source: ClassVar[str] = (
        "Smith 2018, arXiv:1803.09820; torch.optim.lr_scheduler.OneCycleLR (three_phase=True)"
    )

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = parameter(
        0.45, "share r of the training for the way up, and for the way back", gt=0, le=0.5
    )
    low: float = parameter(0.1, "learning rate at the start, as a share of η₀", gt=0, le=1)
    final: float = parameter(1e-4, "learning rate at the end, as a share of η₀", ge=0, le=1)
    anneal: Literal["linear", "cosine"] = parameter(
        "linear", "shape of each way", search="choice(linear, cosine)"
    )
    cycle_momentum: bool = parameter(
        True, "cycle the optimizer's momentum (the Adam family's β₁); false: leave it as it is"
    )
    momentum_high: float = parameter(0.95, "momentum at the lowest learning rates", ge=0, lt=1)
    momentum_low: float = parameter(
        0.85, "momentum at the peak", ge=0, lt=1, search="one_minus(loguniform(0.1, 0.3))"
    )


class Wsd(WarmedUp):
    """Warm-up, a stable stretch, and a decay at the end."""

    formula: ClassVar[str] = (
        "η = η₀ until the last share d of the training, then η₀[(1−α)(1 − h(f)) + α], f the share of it that has "
        "passed, h(f) = f, (1 − cos πf)/2 or √f"
    )
    source: ClassVar[str] = "Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392 (√)"

    name: Literal["wsd"] = "wsd"
    decay_share: float = parameter(
        0.2, "share d of what the warm-up leaves of the training", gt=0, le=1, search="uniform(0.1, 0.5)"
    )
    alpha: float = _floor()
    anneal: Literal["linear", "cosine", "sqrt"] = parameter(
        "linear", "shape h of the decay", search="choice(linear, cosine, sqrt)"
    )


Schedule = Annotated[
    Constant
    | Annealing
    | Piecewise
    | Exponential
    | Power
    | Polynomial
    | Performance
    | Cosine
    | CosineRestarts
    | OneCycle
    | Wsd,
    NameOrMapping,
    Field(discriminator="name"),
]
