"""What a scheduler decides of a trial, and how the loop asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raydnn.spec.trial import TrialSpec
from raydnn.training.stack.member import Member


@dataclass(frozen=True)
class Exploit:
    """What a trial goes on from instead of its own state."""

    source: int
    """The trial whose state after this epoch it copies."""
    stack: int
    """The stack of that trial."""
    spec: TrialSpec
    """Its configuration from now on."""


@dataclass(frozen=True)
class Verdict:
    """What a scheduler decided of one trial after an epoch."""

    stop: bool
    rung: int | None = None
    """The rung that the trial has reached, from 0; None: it has none at this epoch."""
    bracket: int | None = None
    """The trials it competes with; None where a scheduler has no brackets."""
    exploit: Exploit | None = None
    """None: it goes on from its own state."""


Judge = Callable[[int, Sequence[Member]], Mapping[int, Verdict] | None]
"""(epoch, running members, their losses finite) → trial number → verdict; a trial it does not name goes on.

None: the verdicts are not known yet and others need the place; the stack has to save its state and leave.
"""
