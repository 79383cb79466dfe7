"""Incidents of a training that belong into the run's events: told to whoever writes these."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from raydnn.store.commit import EventLog
from raydnn.store.run import Run

Tell = Callable[[str, Mapping[str, Any]], None]
"""Takes an event's kind and its detail; when it returns the event is committed."""


def committing(run: Run) -> Tell:
    """Commit incidents from this process, where no driver writes events meanwhile."""

    def tell(kind: str, detail: Mapping[str, Any]) -> None:
        events = EventLog(run)
        events.add(kind, detail=dict(detail))
        events.commit()

    return tell


def detail_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The detail of a row of `events`."""
    found = json.loads(event["detail"] or "{}")
    return found if isinstance(found, dict) else {}
