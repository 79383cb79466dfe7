"""What a sweep searches: the algorithm, the scheduler, and the space as it was written."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from raydnn.spec.algorithm import CmaEs, Evolution, Gp, Grid, Pso, Random, Sobol, Tpe
from raydnn.spec.base import NameOrMapping, Spec, parameter
from raydnn.spec.metrics import MODES, Metric, Mode
from raydnn.spec.scheduler import Asha, Bohb, Hyperband, Median, NoScheduler

Algorithm = Annotated[
    Random | Grid | Sobol | Tpe | Gp | CmaEs | Evolution | Pso, NameOrMapping, Field(discriminator="name")
]
Scheduler = Annotated[
    NoScheduler | Asha | Hyperband | Bohb | Median, NameOrMapping, Field(discriminator="name")
]


class Search(Spec):
    """A sweep's settings; `space` is read and checked by raydnn.space."""

    # Defaults made without validation: that would build validators whenever this module is imported.
    algorithm: Algorithm = parameter(Random.model_construct(), "how trials are proposed")
    scheduler: Scheduler = parameter(NoScheduler.model_construct(), "how trials are stopped early")
    trials: int | None = parameter(None, "number of trials; null: the whole grid", ge=1)
    metric: Metric = parameter("validation_loss", "column of `epochs` that ranks trials")
    mode: Mode | None = parameter(None, "direction that is better; null: the metric's own")
    stack: int = parameter(32, "most trials that are trained in one stack", ge=1)
    stack_memory_gib: float = parameter(
        4.0, "most memory a stack may take, by estimate; larger trials have smaller stacks", gt=0
    )
    space: dict[str, Any] = parameter(..., "dotted field → domain")

    @property
    def direction(self) -> Mode:
        """`mode`, or the metric's own direction where none is given."""
        return self.mode or MODES[self.metric]
