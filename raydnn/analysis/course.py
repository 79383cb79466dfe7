"""The course of a sweep: how its trials ended, how far they came, and how the best value fell with time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.states import STATES


@dataclass(frozen=True)
class Improvement:
    """A value that was better than all before it."""

    seconds: float
    """Since the first trial began."""
    value: float
    trial_id: str


@dataclass(frozen=True)
class Course:
    """What became of a sweep."""

    states: dict[str, int]
    """State → number of trials, in the order of a trial's life; states that no trial has are left out."""
    rungs: list[dict[str, int]]
    """Epoch of each rung, trials that came to it, and trials that went on."""
    exploits: dict[int, int]
    """Epoch → trials that copied another one after it."""
    epochs: int
    """Epochs that all trials together were trained."""
    seconds: float
    """From the first trial's begin to the last epoch."""
    improvements: list[Improvement]
    """The best value so far, whenever it changed."""


def course(run: Run) -> Course:
    """Read the course of a sweep, over or still going."""
    trials = read(run.location, "trials", ["state", "started_at"]).to_pylist()
    states = Counter(row["state"] for row in trials)
    columns = ["trial_id", "committed_at", run.metric]
    epochs = sorted(read(run.location, "epochs", columns).to_pylist(), key=lambda row: row["committed_at"])
    started = min((row["started_at"] for row in trials if row["started_at"]), default=None)
    begun = min((time for time in (started, *(row["committed_at"] for row in epochs)) if time), default=None)
    ages = [(row["committed_at"] - begun).total_seconds() for row in epochs]
    return Course(
        {state: states[state] for state in STATES if states[state]},
        _rungs(run),
        _exploits(run),
        len(epochs),
        max(ages, default=0.0),
        _improvements(epochs, ages, run),
    )


def memory_lacked(run: Run) -> list[str]:
    """Which stacks ran out of memory, a line each: those that are inexact have numbers that may depend on that."""
    pieces: dict[int, int] = {}
    inexact = set()
    for row in read(run.location, "events", ["kind", "detail"]).to_pylist():
        if row["kind"] == "out_of_memory":
            detail = json.loads(row["detail"])
            pieces[detail["stack"]] = max(pieces.get(detail["stack"], 0), detail["pieces"])
            if not detail["exact"]:
                inexact.add(detail["stack"])
    mark = "inexact: what is drawn or normalized batch by batch, was so piece by piece"
    return [
        f"memory: it ran out in stack {stack}, whose batches then went in {count} pieces"
        + (f" ({mark})" if stack in inexact else "")
        for stack, count in sorted(pieces.items())
    ]


def best_at(improvements: Sequence[Improvement], seconds: float, points: int) -> list[float]:
    """The best value so far at evenly spaced times, from the first value to the end.

    Args:
        improvements: At least one.
        seconds: The end.
        points: Number of times.
    """
    begun = improvements[0].seconds
    times = [begun + (seconds - begun) * point / max(1, points - 1) for point in range(points)]
    return [[each.value for each in improvements if each.seconds <= time][-1] for time in times]


def _rungs(run: Run) -> list[dict[str, int]]:
    rows = read(run.location, "events", ["kind", "epoch", "rung"]).to_pylist()
    verdicts = [row for row in rows if row["kind"] in ("stopped", "promoted") and row["rung"] is not None]
    came = Counter(row["epoch"] for row in verdicts)
    went_on = Counter(row["epoch"] for row in verdicts if row["kind"] == "promoted")
    return [{"epoch": epoch, "trials": came[epoch], "go_on": went_on[epoch]} for epoch in sorted(came)]


def _exploits(run: Run) -> dict[int, int]:
    rows = read(run.location, "events", ["kind", "epoch"]).to_pylist()
    return dict(sorted(Counter(row["epoch"] for row in rows if row["kind"] == "exploited").items()))


def _improvements(epochs: Sequence[Mapping[str, Any]], ages: Sequence[float], run: Run) -> list[Improvement]:
    sign = 1 if run.mode == "min" else -1
    found: list[Improvement] = []
    for row, age in zip(epochs, ages, strict=True):
        value = row[run.metric]
        if value is None or not isfinite(value):
            continue
        if not found or sign * value < sign * found[-1].value:
            found.append(Improvement(age, value, row["trial_id"]))
    return found
