"""Grid search: every combination of the space's choices, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

from raydnn.errors import job_error
from raydnn.space.space import Assignment, Space
from raydnn.spec.job import SweepJob

MOST_TRIALS = 100_000
"""The largest grid that is tried without `search.trials`."""


def draws(space: Space, job: SweepJob, first: int) -> Iterator[Iterable[Assignment]]:
    """Nothing is drawn: each trial is the grid's next one that was not tried yet.

    Raises:
        JobError: The grid is too large to be meant, and no number of trials is given.
    """
    size = space.size()
    if job.search.trials is None and size is not None and size > MOST_TRIALS:
        message = f"not given, but the grid holds {size} trials; more than {MOST_TRIALS} must be asked for"
        raise job_error("search.trials", message)
    return repeat(())
