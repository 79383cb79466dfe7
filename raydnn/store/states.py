"""The states of a trial, and which of them are final."""

from __future__ import annotations

from typing import Literal

State = Literal["PENDING", "RUNNING", "COMPLETED", "STOPPED", "DIVERGED", "FAILED", "PREEMPTED"]

OPEN: tuple[State, ...] = ("PENDING", "RUNNING", "PREEMPTED")
"""Those of a trial that is still to be trained, or goes on when its run is resumed."""
FINISHED: tuple[State, ...] = ("COMPLETED", "STOPPED")
"""Those of a trial that is ranked: it was trained to its end, or a scheduler or early stopping ended it."""
WRECKED: tuple[State, ...] = ("FAILED", "DIVERGED")
"""Those of a trial that came to no use; only one that FAILED can be tried again, when that is asked for."""
ENDED: tuple[State, ...] = ("COMPLETED", "STOPPED", "DIVERGED", "FAILED")
"""Those that a trial keeps."""
STATES: tuple[State, ...] = ("PENDING", "RUNNING", "COMPLETED", "STOPPED", "DIVERGED", "FAILED", "PREEMPTED")
