"""The search algorithms by name, and the trials they propose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from raydnn.search.algorithms import grid, random, sobol
from raydnn.search.algorithms.bohb import BohbSearcher
from raydnn.search.algorithms.cmaes import CmaEsSearcher
from raydnn.search.algorithms.evolution import EvolutionSearcher
from raydnn.search.algorithms.gp import GpSearcher
from raydnn.search.algorithms.pso import PsoSearcher
from raydnn.search.algorithms.searcher import Searcher
from raydnn.search.algorithms.tpe import TpeSearcher
from raydnn.search.generations import Generations, Learning, Source, UpFront
from raydnn.search.history import History
from raydnn.search.seeding import Seeded
from raydnn.search.segments import Chain, Segment
from raydnn.space.space import Assignment, Space
from raydnn.spec.algorithm import Tpe
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import SweepJob
from raydnn.spec.scheduler import Bohb
from raydnn.spec.trial import TrialSpec

UP_FRONT: Mapping[str, Callable[[Space, SweepJob, int], Iterator[Iterable[Assignment]]]] = {
    "random": random.draws,
    "grid": grid.draws,
    "sobol": sobol.draws,
    "pbt": random.draws,
}
"""Name → for each trial, assignments in the order in which they are tried; from space, job, and trials before."""

LEARNING: Mapping[str, Callable[[Space, int, Any], Searcher]] = {
    "tpe": TpeSearcher,
    "gp": GpSearcher,
    "cmaes": CmaEsSearcher,
    "evolution": EvolutionSearcher,
    "pso": PsoSearcher,
}
"""Name → searcher from space, seed and the algorithm's spec."""

ALGORITHMS = {**UP_FRONT, **LEARNING}


def generations(space: Space, job: SweepJob, start: Sequence[Assignment] = ()) -> Generations:
    """The trials of a sweep, generation by generation.

    Args:
        space: The space.
        job: The job.
        start: Assignments that come first.
    """
    return chained([_only(space, job, start)])


def chained(segments: Sequence[Segment]) -> Generations:
    """The trials of a sweep that may have been extended, generation by generation."""
    search = segments[0].job.search
    found = Chain(segments, _part)
    return Seeded(found, search) if search.several_seeds else found


def configurations(space: Space, job: SweepJob, start: Sequence[Assignment] = ()) -> Generations:
    """The configurations of a sweep as its algorithm proposes them, each with the job's own seed."""
    return Chain([_only(space, job, start)], _part)


def propose(space: Space, job: SweepJob, start: Sequence[Assignment] = ()) -> list[TrialSpec]:
    """The configurations that nothing needs to be learned for, in order: all of them, or the first generation."""
    return configurations(space, job, start).propose()


def _only(space: Space, job: SweepJob, start: Sequence[Assignment]) -> Segment:
    return Segment(space, job, job.search.trials, tuple(start))


def _part(segment: Segment, history: History) -> Source:
    """A segment's algorithm, which knows what the sweep has tried so far."""
    space, job, search = segment.space, segment.job, segment.job.search
    algorithm, scheduler = search.algorithm, search.scheduler
    if algorithm.name in UP_FRONT:
        return UpFront(space, UP_FRONT[algorithm.name](space, job, len(history)), history)
    if isinstance(scheduler, Bohb):
        assert isinstance(algorithm, Tpe)
        model = BohbSearcher(space, job.seed, algorithm, scheduler, epochs_of(job))
        return Learning(space, job, model, history)
    return Learning(space, job, LEARNING[algorithm.name](space, job.seed, algorithm), history)
