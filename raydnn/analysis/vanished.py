"""Rows that a run once had and has no more: its files were lost or set aside as damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.states import State
from raydnn.store.storage import files, listing

_DIAGNOSTICS = "p_train_diagnostics"
_TRIALS = ["trial_id", "number", "epochs", "rung", "stage", "repeat", _DIAGNOSTICS]
_VERDICTS = ("stopped", "promoted", "exploited")
_TOLD = 3
"""Trials that a message names."""


def vanished(run: Run) -> list[str]:
    """What a run's tables lack, a sentence a table; nothing where they are whole.

    Trials have no gap in their numbers, a trial has each epoch up to the last one, and as many as its own row says;
    events have no gap in their sequence and a verdict on each trial that reached a rung; an epoch with diagnostics has
    its layers. What was lost behind the last row known is not seen.

    Raises:
        StoreError: A file cannot be read.
    """
    trials = read(run.location, "trials", _TRIALS)
    epochs = read(run.location, "epochs", ["trial_id", "epoch"])
    events = read(run.location, "events", ["sequence", "kind", "trial_id"])
    lacking = {
        "trials": _lacking_trials(trials, epochs),
        "epochs": lacking_epochs(trials, epochs),
        "events": (pc.max(events["sequence"]).as_py() or 0) - events.num_rows,
        "verdicts": _lacking_verdicts(trials, events),
        "layers": _lacking_layers(run, trials, epochs),
    }
    told = []
    if lacking["trials"]:
        told.append(f"{_names(lacking['trials'])} of its `trials` are gone")
    if lacking["epochs"]:
        count = sum(lacking["epochs"].values())
        told.append(f"{count} of its rows of `epochs` are gone, of {_names(list(lacking['epochs']))}")
    if lacking["events"]:
        told.append(f"{lacking['events']} of its `events` are gone")
    if lacking["verdicts"]:
        told.append(f"the `events` that tell how {_names(lacking['verdicts'])} were judged are gone")
    if lacking["layers"]:
        told.append(f"its `layers` of {lacking['layers']} epochs of trials are gone")
    return [f"run {run.run_id}: {each}; the files that held them are missing or damaged" for each in told]


def without_state(run: Run) -> list[str]:
    """What is said of trials that have to be trained from their beginning, though they had got further.

    Their stack's state is saved every `train.checkpoint_every_epochs` epochs, and all epochs but the last are committed
    after it was.
    """
    every = "p_train_checkpoint_every_epochs"
    trials = read(run.location, "trials", ["trial_id", "state", "stack", every]).to_pylist()
    open_trials = {row["trial_id"]: row for row in trials if row["state"] in (State.RUNNING, State.PREEMPTED)}
    if not open_trials:
        return []
    epochs = read(run.location, "epochs", ["trial_id", "epoch"])
    trained = epochs.group_by("trial_id").aggregate([("epoch", "max")]).to_pylist()
    told = {}
    for row in trained:
        trial = open_trials.get(row["trial_id"])
        if trial and trial["stack"] is not None and trial[every] and row["epoch_max"] > trial[every]:
            told[trial["stack"]] = row["epoch_max"]
    return [
        f"run {run.run_id}: stack {stack} has lost its checkpoint, after epoch {epoch}; it is trained from the start"
        for stack, epoch in sorted(told.items())
        if not _has_state(run, stack)
    ]


def _has_state(run: Run, stack: int) -> bool:
    folder = run.location / "checkpoints" / f"stack-{stack:05d}"
    return any(files.exists(folder / name / "manifest.json") for name in listing.list_folders(folder))


def lacking_epochs(trials: pa.Table, epochs: pa.Table) -> Mapping[str, int]:
    """Trial id → how many of its epochs the table lacks, of the trials that lack any."""
    expected = {
        row["trial_id"]: row["epochs"] or 0 for row in trials.select(["trial_id", "epochs"]).to_pylist()
    }
    there = epochs.group_by("trial_id").aggregate([("epoch", "max"), ("epoch", "count")])
    counts = dict.fromkeys(expected, 0)
    for row in there.to_pylist():
        trial_id = row["trial_id"]
        counts[trial_id] = row["epoch_count"]
        expected[trial_id] = max(expected.get(trial_id, 0), row["epoch_max"])
    return {each: expected[each] - counts[each] for each in sorted(expected) if expected[each] > counts[each]}


def _lacking_trials(trials: pa.Table, epochs: pa.Table) -> list[str]:
    """Those in a gap of the numbers, and those of which there are epochs alone."""
    numbers = [number for number in trials["number"].to_pylist() if number is not None]
    gap = {f"t{number:05d}" for number in set(range(max(numbers, default=-1) + 1)) - set(numbers)}
    return sorted((gap | set(epochs["trial_id"].unique().to_pylist())) - set(trials["trial_id"].to_pylist()))


def _lacking_verdicts(trials: pa.Table, events: pa.Table) -> list[str]:
    """Trials that reached a rung, without a verdict; of several seeds the first one's is noted."""
    columns = (events[name].to_pylist() for name in ("kind", "trial_id"))
    judged = {trial_id for kind, trial_id in zip(*columns, strict=True) if kind in _VERDICTS}
    return [
        row["trial_id"]
        for row in trials.select(["trial_id", "rung", "stage", "repeat"]).to_pylist()
        if row["rung"] is not None and row["stage"] != "confirm" and not row["repeat"]
        if row["trial_id"] not in judged
    ]


def _lacking_layers(run: Run, trials: pa.Table, epochs: pa.Table) -> int:
    """How many epochs of trials with diagnostics have no rows of layers."""
    watched = trials.filter(pc.fill_null(trials[_DIAGNOSTICS], False))["trial_id"].to_pylist()
    if not watched:
        return 0
    layers = read(run.location, "layers", ["trial_id", "epoch"])
    trained, seen = (
        set(zip(table["trial_id"].to_pylist(), table["epoch"].to_pylist(), strict=True))
        for table in (epochs, layers)
    )
    return sum(trial_id in set(watched) for trial_id, _ in trained - seen)


def _names(trial_ids: Sequence[str]) -> str:
    more = f" and {len(trial_ids) - _TOLD} others" if len(trial_ids) > _TOLD else ""
    return ", ".join(trial_ids[:_TOLD]) + more
