"""What a sweep searches: the algorithm, the scheduler, and the space as it was written."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from raydnn.spec.algorithm import CmaEs, Evolution, Gp, Grid, Pbt, Pso, Random, Sobol, Tpe
from raydnn.spec.base import ListOrTuple, NameOrMapping, PathOf, Spec, parameter
from raydnn.spec.metrics import MODES, Metric, Mode
from raydnn.spec.scheduler import Asha, Bohb, Hyperband, Median, NoScheduler

Algorithm = Annotated[
    Random | Grid | Sobol | Tpe | Gp | CmaEs | Evolution | Pso | Pbt,
    NameOrMapping,
    Field(discriminator="name"),
]
Scheduler = Annotated[
    NoScheduler | Asha | Hyperband | Bohb | Median, NameOrMapping, Field(discriminator="name")
]

BEST = re.compile(r"best:(?P<run>.+):(?P<count>[1-9][0-9]{0,8})")
"""A start: the best configurations of another run."""


def _check_start(written: str) -> str:
    if written != "base" and not BEST.fullmatch(written):
        raise ValueError(f"{written!r}; allowed: base, best:RUN:n")
    return written


Starts = Annotated[tuple[Annotated[str, AfterValidator(_check_start), PathOf("run")], ...], ListOrTuple]


class Search(Spec):
    """A sweep's settings; `space` is read and checked by raydnn.space."""

    # Defaults made without validation: that would build validators whenever this module is imported.
    algorithm: Algorithm = parameter(Random.model_construct(), "how trials are proposed")
    scheduler: Scheduler = parameter(NoScheduler.model_construct(), "how trials are stopped early")
    trials: int | None = parameter(None, "number of configurations; null: the whole grid", ge=1)
    metric: Metric = parameter("validation_loss", "column of `epochs` that ranks trials")
    mode: Mode | None = parameter(None, "direction that is better; null: the metric's own")
    stack: int = parameter(
        32,
        "most trials that are trained in one stack; with another number products are the same on a CPU to the bit "
        "where layers and batches are multiples of 16, else to 1e-6 a step, which grows where training is chaotic",
        ge=1,
    )
    stack_memory_gib: float = parameter(
        4.0, "most memory a stack may take, by estimate; larger trials have smaller stacks", gt=0
    )
    repeats: int = parameter(
        1, "seeds with which each configuration is trained: its own and those that follow", ge=1
    )
    confirm: int = parameter(
        0, "best configurations that are trained again when the search is over, with further seeds", ge=0
    )
    confirm_seeds: int = parameter(5, "further seeds for each of them", ge=2)
    start: Starts = parameter(
        (),
        "configurations that are tried first: base (the job's own values), best:RUN:n (the n best of another run)",
    )
    space: dict[str, Any] = parameter(..., "dotted field → domain")

    @property
    def several_seeds(self) -> bool:
        """Whether configurations are trained with further seeds than their own."""
        return self.repeats > 1 or self.confirm > 0

    @property
    def direction(self) -> Mode:
        """`mode`, or the metric's own direction where none is given."""
        return self.mode or MODES[self.metric]
