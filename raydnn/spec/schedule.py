"""Learning-rate schedules: the factor on the optimizer's learning rate, as a function of the step."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter
from raydnn.spec.metrics import Metric


class WarmedUp(Component):
    """What every schedule has: a linear warm-up before its own step 0."""

    warmup_epochs: float = parameter(
        0.0, "length of the linear warm-up before the schedule begins, in epochs", ge=0
    )


class Constant(WarmedUp):
    """The learning rate stays as it is."""

    formula: ClassVar[str] = "η = η₀"

    name: Literal["constant"] = "constant"


class Exponential(WarmedUp):
    """The learning rate falls by a factor γ every s steps."""

    formula: ClassVar[str] = "η = η₀ γ^(t/s); staircase: the exponent is rounded down"
    source: ClassVar[str] = "Keras ExponentialDecay"

    name: Literal["exponential"] = "exponential"
    gamma: float = parameter(0.9, "factor γ for each s steps", gt=0, le=1, search="loguniform(0.3, 0.99)")
    decay_epochs: float = parameter(1.0, "s, in epochs", gt=0)
    staircase: bool = parameter(False, "fall in stairs", search="choice(false, true)")


class Cosine(WarmedUp):
    """The learning rate falls along half a cosine to a floor."""

    formula: ClassVar[str] = "η = η₀[(1−α)(1 + cos(π min(t,s)/s))/2 + α]"
    source: ClassVar[str] = "Loshchilov & Hutter 2017, arXiv:1608.03983"

    name: Literal["cosine"] = "cosine"
    alpha: float = parameter(0.0, "floor α as a share of η₀", ge=0, le=1, search="uniform(0, 0.1)")
    decay_epochs: float | None = parameter(
        None, "s, in epochs; null: what the warm-up leaves of the training", gt=0
    )


class Performance(WarmedUp):
    """The learning rate falls when the monitored value stops improving."""

    formula: ClassVar[str] = (
        "η ← max(η·factor, min_lr) after `patience` epochs without an improvement of more than "
        "`min_delta`; then `cooldown` epochs are not counted"
    )
    source: ClassVar[str] = "torch.optim.lr_scheduler.ReduceLROnPlateau (threshold_mode='abs')"

    name: Literal["performance"] = "performance"
    monitor: Metric = parameter("validation_loss", "column of `epochs` that is watched")
    factor: float = parameter(0.5, "factor on the learning rate", gt=0, lt=1, search="uniform(0.1, 0.8)")
    patience: int = parameter(5, "epochs without improvement that are borne", ge=0, search="randint(1, 5)")
    min_delta: float = parameter(0.0, "smallest change that counts as improvement", ge=0)
    cooldown: int = parameter(0, "epochs after a reduction that are not counted", ge=0)
    min_lr: float = parameter(0.0, "the learning rate never falls below this", ge=0)


Schedule = Annotated[
    Constant | Exponential | Cosine | Performance, NameOrMapping, Field(discriminator="name")
]
