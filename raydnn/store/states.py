"""The states of a trial, and which of them are final."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """How a trial stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    """Trained to its last epoch, or ended by itself."""
    STOPPED = "STOPPED"
    """Ended by its scheduler."""
    DIVERGED = "DIVERGED"
    FAILED = "FAILED"
    """Its own code or configuration raised an error."""
    PREEMPTED = "PREEMPTED"
    """Ended by what is no fault of it."""


OPEN = (State.PENDING, State.RUNNING, State.PREEMPTED)
"""Those of a trial that is still to be trained, or goes on when its run is resumed."""
FINISHED = (State.COMPLETED, State.STOPPED)
"""Those of a trial that is ranked: it was trained to its end, or a scheduler or early stopping ended it."""
WRECKED = (State.FAILED, State.DIVERGED)
"""Those of a trial that came to no use; only one that FAILED can be tried again, when that is asked for."""
ENDED = (State.COMPLETED, State.STOPPED, State.DIVERGED, State.FAILED)
"""Those that a trial keeps."""
STATES = tuple(State)
