"""What a scheduler decides of a trial, and how the loop asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raydnn.train.member import Member


@dataclass(frozen=True)
class Verdict:
    """What a scheduler decided of one trial at a rung."""

    stop: bool
    rung: int


Judge = Callable[[int, Sequence[Member]], Mapping[int, Verdict]]
"""(epoch, running members, their losses finite) → trial number → verdict; a trial it does not name goes on."""
