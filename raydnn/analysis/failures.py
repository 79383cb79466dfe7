"""What went wrong in a run, grouped by cause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raydnn.analysis.logs import wrecked
from raydnn.store.run import Run

FAILURE_FIELDS = ("state", "error_type", "error", "trials", "traceback")
_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)


def failures(run: Run) -> list[dict[str, Any]]:
    """The causes for which trials failed or diverged, the most frequent first.

    Trials have one cause if their states, the classes of their errors and the first lines of these are the same but
    for numbers in them.

    Args:
        run: The run.

    Returns:
        FAILURE_FIELDS of each: `error` is the first line of the first trial's error, or why it was stopped; `trials`
        their ids; `traceback` where the first traceback that was kept stands, or null.
    """
    causes: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in sorted(wrecked(run), key=lambda row: row["trial_id"]):
        cause = row["state"], row["error_type"], _NUMBER.sub("#", _first_line(row))
        causes.setdefault(cause, []).append(row)
    return [
        {
            "state": rows[0]["state"],
            "error_type": rows[0]["error_type"],
            "error": _first_line(rows[0]),
            "trials": [row["trial_id"] for row in rows],
            "traceback": next(
                (f"{run.uri}/{row['traceback_path']}" for row in rows if row["traceback_path"]), None
            ),
        }
        for rows in sorted(causes.values(), key=len, reverse=True)
    ]


def _first_line(row: Mapping[str, Any]) -> str:
    said = str(row["error"] or row["stop_reason"] or "").strip()
    return said.splitlines()[0] if said else ""
