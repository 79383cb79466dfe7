"""What a sweep searches: the algorithm, the scheduler, and the space as it was written."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from raydnn.spec.algorithm import CmaEs, Evolution, Gp, Grid, Pso, Random, Sobol, Tpe
from raydnn.spec.base import Component, NameOrMapping, Spec, parameter
from raydnn.spec.metrics import MODES, Metric, Mode


class NoScheduler(Component):
    """Every trial is trained for all its epochs."""

    name: Literal["none"] = "none"


class Asha(Component):
    """Asynchronous successive halving: at each rung only the best 1/eta of the trials seen so far go on."""

    formula: ClassVar[str] = "rungs at min_epochs · eta^k epochs, up to max_epochs"
    source: ClassVar[str] = "Li et al. 2020, arXiv:1810.05934; ray.tune.schedulers.ASHAScheduler"

    name: Literal["asha"] = "asha"
    min_epochs: int = parameter(1, "epochs every trial is trained before it can be stopped", ge=1)
    max_epochs: int | None = parameter(
        None, "a trial's whole budget; it replaces train.epochs; null: train.epochs", ge=1
    )
    eta: float = parameter(3.0, "one in eta goes on at each rung", gt=1)


Algorithm = Annotated[
    Random | Grid | Sobol | Tpe | Gp | CmaEs | Evolution | Pso, NameOrMapping, Field(discriminator="name")
]
Scheduler = Annotated[NoScheduler | Asha, NameOrMapping, Field(discriminator="name")]


class Search(Spec):
    """A sweep's settings; `space` is read and checked by raydnn.space."""

    # Defaults made without validation: that would build validators whenever this module is imported.
    algorithm: Algorithm = parameter(Random.model_construct(), "how trials are proposed")
    scheduler: Scheduler = parameter(NoScheduler.model_construct(), "how trials are stopped early")
    trials: int | None = parameter(None, "number of trials; null: the whole grid", ge=1)
    metric: Metric = parameter("validation_loss", "column of `epochs` that ranks trials")
    mode: Mode | None = parameter(None, "direction that is better; null: the metric's own")
    stack: int = parameter(32, "most trials that are trained in one stack", ge=1)
    space: dict[str, Any] = parameter(..., "dotted field → domain")

    @property
    def direction(self) -> Mode:
        """`mode`, or the metric's own direction where none is given."""
        return self.mode or MODES[self.metric]
