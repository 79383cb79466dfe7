"""Random search: independent draws, each trial's from its own stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

import numpy as np

from raydnn.space.space import Assignment, Space
from raydnn.spec.job import Job

REDRAWS = 100
"""Draws for one trial before a finite space's unused configurations are taken in order."""


def generator(seed: int, number: int) -> np.random.Generator:
    """The stream of one trial's draws; it depends on the job's seed and the trial's number only."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))


def points(space: Space, seed: int, number: int) -> Iterator[list[float]]:
    """The points of the unit cube that are tried for one trial, in order."""
    rng = generator(seed, number)
    return (rng.random(len(space.parameters)).tolist() for _ in range(REDRAWS))


def draws(space: Space, job: Job, first: int) -> Iterator[Iterable[Assignment]]:
    """Independent draws for each trial.

    Args:
        space: The space.
        job: The job, for its seed.
        first: Trials that the sweep had before; with another space their draws are not drawn again.
    """
    return (map(space.from_unit, points(space, job.seed, number)) for number in count(first))
