"""A training in this very process that hangs is interrupted, and goes on from its last checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from raydnn.errors import HungError
from raydnn.launch.engine.engine import MAX_FAILURES
from raydnn.store.run import Run
from raydnn.training.checkpoint import newest_epoch
from raydnn.training.faults.incidents import committing
from raydnn.training.record import states_of


def train_through_hangs(run: Run, train: Callable[[], None]) -> None:
    """Train the one trial of a run; where it hangs, train on, a few times without a new checkpoint.

    Args:
        run: The run.
        train: Trains from the last checkpoint to the end.

    Raises:
        HungError: It hung too often.
        RaydnnError: The training failed.
    """
    hangs, reached = 0, 0
    while True:
        try:
            train()
            return
        except HungError as error:
            epoch = newest_epoch(states_of(run, 0))
            hangs, reached = (hangs + 1 if epoch == reached else 1), epoch
            if hangs > MAX_FAILURES:
                raise
            warnings.warn(f"{error}; it goes on after epoch {epoch}", stacklevel=2)
            committing(run)("retried", {"stack": 0})
