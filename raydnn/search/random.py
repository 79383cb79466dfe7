"""Random search: independent draws, each trial's from its own stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raydnn.space.space import Space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec

REDRAWS = 100
"""Draws for one trial before a finite space's unused configurations are taken in order."""


def generator(seed: int, number: int) -> np.random.Generator:
    """The stream of one trial's draws; it depends on the job's seed and the trial's number only."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))


def propose(space: Space, job: Job) -> list[TrialSpec]:
    """Draw `search.trials` trials.

    A configuration that repeats is drawn again, unless no other is left: `auto` and the component it stands
    for are one configuration.
    """
    assert job.search is not None
    assert job.search.trials is not None
    unused = _every(space, job)
    seen: set[tuple[str, int]] = set()
    trials: list[TrialSpec] = []
    for number in range(job.search.trials):
        trial = _new_trial(space, job, number, seen, unused)
        seen.add(_identity(trial))
        trials.append(trial)
    return trials


def _new_trial(
    space: Space, job: Job, number: int, seen: set[tuple[str, int]], unused: Iterator[TrialSpec]
) -> TrialSpec:
    rng = generator(job.seed, number)
    for _ in range(REDRAWS):
        trial = make_trial(job, space.draw(rng))
        if _identity(trial) not in seen:
            return trial
    return next((other for other in unused if _identity(other) not in seen), trial)


def _every(space: Space, job: Job) -> Iterator[TrialSpec]:
    """Every trial of a finite space, made only when asked for; nothing of a continuous one."""
    if space.size() is not None:
        for assignment in space.grid():
            yield make_trial(job, assignment)


def _identity(trial: TrialSpec) -> tuple[str, int]:
    return trial.config_hash, trial.seed
