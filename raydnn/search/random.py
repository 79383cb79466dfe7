"""Random search: independent draws, each trial's from its own stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raydnn.search.distinct import distinct
from raydnn.space.space import Space
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec

REDRAWS = 100
"""Draws for one trial before a finite space's unused configurations are taken in order."""


def generator(seed: int, number: int) -> np.random.Generator:
    """The stream of one trial's draws; it depends on the job's seed and the trial's number only."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))


def points(space: Space, seed: int, number: int) -> Iterator[list[float]]:
    """The points of the unit cube that are tried for one trial, in order."""
    rng = generator(seed, number)
    return (rng.random(len(space.parameters)).tolist() for _ in range(REDRAWS))


def propose(space: Space, job: Job) -> list[TrialSpec]:
    """Draw `search.trials` trials, none twice."""
    assert job.search is not None
    assert job.search.trials is not None
    return distinct(space, job, (points(space, job.seed, number) for number in range(job.search.trials)))
