"""The search algorithms by name, and the trials they propose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raydnn.search import grid, random, sobol
from raydnn.search.bohb import BohbSearcher
from raydnn.search.cmaes import CmaEsSearcher
from raydnn.search.evolution import EvolutionSearcher
from raydnn.search.generations import Generations, Learning, UpFront
from raydnn.search.gp import GpSearcher
from raydnn.search.pso import PsoSearcher
from raydnn.search.searcher import Searcher
from raydnn.search.tpe import TpeSearcher
from raydnn.space.space import Space
from raydnn.spec.algorithm import Tpe
from raydnn.spec.checks import epochs_of
from raydnn.spec.job import Job
from raydnn.spec.scheduler import Bohb
from raydnn.spec.trial import TrialSpec

UP_FRONT: Mapping[str, Callable[[Space, Job], list[TrialSpec]]] = {
    "random": random.propose,
    "grid": grid.propose,
    "sobol": sobol.propose,
}
"""Name → function from space and job to all trials, numbered by their position."""

LEARNING: Mapping[str, Callable[[Space, int, Any], Searcher]] = {
    "tpe": TpeSearcher,
    "gp": GpSearcher,
    "cmaes": CmaEsSearcher,
    "evolution": EvolutionSearcher,
    "pso": PsoSearcher,
}
"""Name → searcher from space, seed and the algorithm's spec."""

ALGORITHMS = {**UP_FRONT, **LEARNING}


def generations(space: Space, job: Job) -> Generations:
    """The trials of a sweep, generation by generation."""
    assert job.search is not None
    algorithm = job.search.algorithm
    if algorithm.name in UP_FRONT:
        return UpFront(UP_FRONT[algorithm.name](space, job))
    scheduler = job.search.scheduler
    if isinstance(scheduler, Bohb):
        assert isinstance(algorithm, Tpe)
        return Learning(space, job, BohbSearcher(space, job.seed, algorithm, scheduler, epochs_of(job)))
    return Learning(space, job, LEARNING[algorithm.name](space, job.seed, algorithm))


def propose(space: Space, job: Job) -> list[TrialSpec]:
    """The trials of a sweep that nothing needs to be learned for, in order: all of them, or the first generation."""
    return generations(space, job).propose()
