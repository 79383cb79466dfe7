"""Sobol search: the points of a low-discrepancy sequence, which leaves no part of the space empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np

from raydnn.search.algorithms import random
from raydnn.space.space import Assignment, Space
from raydnn.spec.job import Job

BLOCK = 32
"""Points that are made first; SciPy wants a power of two."""


def sequence(dimensions: int, seed: int) -> Iterator[list[float]]:
    """The points of a scrambled Sobol sequence, each coordinate in [0, 1), for as long as they are asked for.

    Args:
        dimensions: Coordinates of a point.
        seed: Decides the scrambling.
    """
    from scipy.stats.qmc import Sobol

    made = Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    size = BLOCK
    yield from made.random(size).tolist()
    while True:
        # As many as there were before, so that their number is a power of two again.
        yield from made.random(size).tolist()
        size *= 2


def points(dimensions: int, count: int, seed: int) -> list[list[float]]:
    """The first points of a scrambled Sobol sequence (count, dimensions); one does not depend on their number."""
    return list(islice(sequence(dimensions, seed), count))


def draws(space: Space, job: Job, first: int) -> Iterator[Iterable[Assignment]]:
    """A point for each trial, from the sequence's first; one that repeats a configuration is drawn at random instead.

    Args:
        space: The space.
        job: The job, for its seed.
        first: Trials that the sweep had before; with another space the sequence begins all the same.
    """
    for number, point in enumerate(sequence(len(space.parameters), job.seed)):
        yield map(space.from_unit, chain([point], random.points(space, job.seed, first + number)))
