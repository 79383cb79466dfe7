"""Printing runs: all fields for programs, one short line a run for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from raydnn.cli.printing.output import print_record, print_table
from raydnn.cli.printing.terminal import tell

COUNTS = ("pending", "running", "completed", "stopped", "diverged", "failed", "preempted")
SHORT = ("run_id", "state", "command", "trials", "epochs", "best", "metric", "started_at", "took", "cluster")
"""Columns of a table, where any run has something to say in them."""

MOST_NAMES = 50
"""Columns and classes that a table names."""

MERGED = {*COUNTS, "best_value", "best_trial_id", "winner", "mode", "ended_at"}
"""Fields that `condensed` tells within others."""


def print_runs(rows: Sequence[Mapping[str, Any]], columns: Iterable[str], output: str) -> None:
    """Print one line a run.

    Args:
        rows: A summary of each run, with `state` and `cluster` where they are known.
        columns: The columns of JSON and CSV, which are always there.
        output: `table`, `json` or `csv`; a table shows `condensed` rows and leaves empty columns out.
    """
    names = list(columns)
    if output == "table":
        rows = [condensed(row) for row in rows]
        names = [name for name in SHORT if any(name in row for row in rows)] or ["run_id"]
    print_table(names, [[row.get(name) for name in names] for row in rows], output)


def print_run(row: Mapping[str, Any], output: str) -> None:
    """Print one run, a line a field."""
    print_record(condensed(row) if output == "table" else row, output)


def print_run_with_job(row: Mapping[str, Any]) -> None:
    """Print all of one run for people: its summary, its job, what it ran on, and the space it searches.

    Args:
        row: The run's summary with `uri` and `resolved`.
    """
    resolved = row["resolved"]
    job = dict(resolved.get("job") or {})
    if job.get("search"):
        job["search"] = {name: value for name, value in job["search"].items() if name != "space"}
    told = condensed({name: value for name, value in row.items() if name != "resolved"})
    segments = resolved.get("segments") or []
    if len(segments) > 1:
        told["segments"] = f"{' + '.join(str(each['trials']) for each in segments)} configurations"
    ran_on = {name: resolved.get(name) for name in ("versions", "git_commit")}
    print_record(shortened({**told, "job": job, **ran_on}), "table")
    if resolved.get("space"):
        tell("\nspace")
        for line in resolved["space"]:
            tell(f"  {line}")


def shortened(record: Mapping[str, Any]) -> dict[str, Any]:
    """A run or a trial with no more names of columns and classes than people read."""
    cut: dict[str, Any] = {}
    for what in {"columns", "classes"} & record.keys():
        names = record[what]
        if len(names) > MOST_NAMES:
            more = f"and {len(names) - MOST_NAMES:,} more"
            cut[what] = [*names[:MOST_NAMES], more if what == "columns" else {"number": None, "name": more}]
    return {**record, **cut}


def condensed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run's summary in few fields: trials with their states, the best value with its trial, the time taken."""
    begun, ended = row.get("started_at"), row.get("ended_at")
    told = {
        "run_id": row["run_id"],
        "state": row.get("state"),
        "command": row.get("command"),
        "trials": _trials(row),
        "epochs": row.get("epochs"),
        "best": _best(row),
        "metric": row.get("metric"),
        "started_at": begun,
        "took": _duration(begun, ended) if begun and ended else None,
    }
    told |= {name: value for name, value in row.items() if name not in told and name not in MERGED}
    return {name: value for name, value in told.items() if value is not None}


def _trials(row: Mapping[str, Any]) -> str | None:
    if row.get("trials") is None:
        return None
    return ", ".join(f"{row[name]} {name}" for name in COUNTS if row.get(name)) or "none"


def _best(row: Mapping[str, Any]) -> str | None:
    if row.get("best_value") is None:
        return None
    told = f"{row['best_value']:.5g} ({row['best_trial_id']})"
    winner = row.get("winner") or {}
    if winner.get("low") is not None:
        told += f", over all seeds with 95 % confidence {winner['low']:.4g} to {winner['high']:.4g}"
    if winner.get("test_low") is not None:
        told += (
            f", test accuracy {winner['test_accuracy']:.4g}, "
            f"95 % interval {winner['test_low']:.4g} to {winner['test_high']:.4g}"
        )
    return told


def _duration(begun: datetime, ended: datetime) -> str:
    seconds = round((ended - begun).total_seconds())
    hours, minutes = divmod(seconds // 60, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {seconds % 60} s"
        if minutes
        else f"{seconds} s"
    )
