"""The search algorithms by name, and the trials they propose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raydnn.search import grid, random
from raydnn.space.space import Space
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec

ALGORITHMS: Mapping[str, Callable[[Space, Job], list[TrialSpec]]] = {
    "random": random.propose,
    "grid": grid.propose,
}
"""Name → function from space and job to trials, numbered by their position."""


def propose(space: Space, job: Job) -> list[TrialSpec]:
    """The trials of a sweep, in order: number 0 first."""
    assert job.search is not None
    return ALGORITHMS[job.search.algorithm.name](space, job)
