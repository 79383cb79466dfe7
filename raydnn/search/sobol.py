"""Sobol search: the points of a low-discrepancy sequence, which leaves no part of the space empty."""

from __future__ import annotations

from itertools import chain

import numpy as np

from raydnn.search import random
from raydnn.search.distinct import distinct
from raydnn.space.space import Space
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec


def points(dimensions: int, count: int, seed: int) -> list[list[float]]:
    """The first points of a scrambled Sobol sequence.

    Args:
        dimensions: Coordinates of a point.
        count: Number of points; a point does not depend on it.
        seed: Decides the scrambling.

    Returns:
        Points (count, dimensions) of the unit cube, each coordinate in [0, 1).
    """
    from scipy.stats.qmc import Sobol

    sequence = Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    # SciPy wants a power of two, of which the points are balanced; the first of more are the same.
    return sequence.random_base2((count - 1).bit_length())[:count].tolist()  # type: ignore[no-any-return]


def propose(space: Space, job: Job) -> list[TrialSpec]:
    """The first `search.trials` points; one that repeats a configuration is drawn at random instead."""
    assert job.search is not None
    assert job.search.trials is not None
    sequence = points(len(space.parameters), job.search.trials, job.seed)
    tried = (chain([point], random.points(space, job.seed, k)) for k, point in enumerate(sequence))
    return distinct(space, job, tried)
