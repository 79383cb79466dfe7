"""What a process that trains a stack reports to the driver; its rows are in the store already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydnn.errors import RaydnnError


@dataclass(frozen=True)
class Result:
    """A stack has reached a rung, and waits for its answer in the mailbox."""

    stack: int
    epoch: int
    values: Mapping[int, float]
    """Trial → the value that it is judged by."""


@dataclass(frozen=True)
class GivesWay:
    """A stack has saved its state and leaves its slot."""

    stack: int


@dataclass(frozen=True)
class Incident:
    """Something happened that is an event of the run."""

    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """The process cannot go on, nor could any other: the sweep ends with this error."""

    error: RaydnnError


Report = Result | GivesWay | Incident | Failure
