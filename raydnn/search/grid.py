"""Grid search: every combination of the space's choices, in a fixed order."""

from __future__ import annotations

from itertools import islice

from raydnn.errors import JobError, Problem
from raydnn.space.space import Space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec

MOST_TRIALS = 100_000
"""The largest grid that is tried without `search.trials`."""


def propose(space: Space, job: Job) -> list[TrialSpec]:
    """Every trial of the grid, or the first `search.trials` of them.

    Raises:
        JobError: The grid is too large to be meant, and no number of trials is given.
    """
    assert job.search is not None
    size = space.size()
    if job.search.trials is None and size is not None and size > MOST_TRIALS:
        message = f"not given, but the grid holds {size} trials; more than {MOST_TRIALS} must be asked for"
        raise JobError([Problem("", "search.trials", message)])
    return [make_trial(job, assignment) for assignment in islice(space.grid(), job.search.trials)]
