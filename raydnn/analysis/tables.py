"""The tables a user looks at: all runs, a run's best trials, one trial."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from raydnn.analysis.vanished import vanished
from raydnn.analysis.verdict.configurations import COLUMNS, has_seeds, ranked
from raydnn.analysis.verdict.winner import winner
from raydnn.errors import NotFoundError, StoreError, nearest
from raydnn.store.read import read, row_numbers
from raydnn.store.run import Run
from raydnn.store.runs import runs_of
from raydnn.store.states import STATES, State
from raydnn.store.storage.files import locate
from raydnn.store.tables import FLOAT64, INT32

RUN_FIELDS = (
    *("run_id", "command", "metric", "mode", "trials", *map(str.lower, STATES)),
    *("epochs", "best_value", "best_trial_id", "started_at", "ended_at"),
)
"""What a run's summary tells."""

_RANKED = ("trial_id", "state", "best_value", "best_epoch", "epochs")
_SUMMARY = (*COLUMNS, "epochs", "started_at", "ended_at")


def list_summaries(storage: str) -> list[dict[str, Any]]:
    """All runs of a storage, newest first, each with RUN_FIELDS: trials by state, epochs, the best trial.

    A run whose resolved.json is damaged is left out with a warning that names it, and so is a run's copy.
    """
    rows = []
    for run in runs_of(locate(storage)):
        try:
            rows.append(summary(run))
            _tell_vanished(run)
        except StoreError as error:
            warnings.warn(str(error), stacklevel=2)
    return rows


def top(run: Run, n: int) -> pa.Table:
    """The n best of a run's finished trials, by the run's metric and mode; of a run with several seeds a
    configuration, the n best configurations.

    Args:
        run: The run.
        n: Most rows to return.

    Returns:
        rank, trial_id, state, best_value, best_epoch, epochs, and those parameters that differ between
        the trials of the run, under their names without `p_`. Of configurations instead: rank, trial_id (that of
        the first of its trials), stage, mean_value, std_value, seeds, epochs, and the parameters. See
        `analysis.verdict.configurations.ranked`.
    """
    trials = read(run.location, "trials")
    differing = [name for name in trials.column_names if name.startswith("p_") and _differs(trials[name])]
    rows = trials.select(list(COLUMNS)).to_pylist()
    best = ranked(rows, run.mode)[:n]
    place = {row["number"]: place for place, row in enumerate(rows)}
    leaders = _taken(trials, [place[each.number] for each in best])
    columns = {name: leaders[name] for name in _RANKED}
    if has_seeds(rows):
        of_stage = _taken(trials, [place[each.first] for each in best])
        columns = {
            "trial_id": leaders["trial_id"],
            "stage": of_stage["stage"],
            "mean_value": _floats([each.mean for each in best]),
            "std_value": _floats([each.spread.std for each in best]),
            "seeds": _integers([len(each.spread.values) for each in best]),
            "epochs": of_stage["epochs"],
        }
    parameters = {name.removeprefix("p_"): leaders[name] for name in differing}
    return pa.table({"rank": _integers(range(1, len(best) + 1)), **columns, **parameters})


def show(run: Run, trial_id: str | None) -> dict[str, Any]:
    """Everything about a run, or about one of its trials.

    Args:
        run: The run.
        trial_id: The trial; None: the run itself.

    Returns:
        For a run: its `summary`, `uri`, `resolved` (resolved.json) and, for a sweep, its `winner` with its
        interval. For a trial: every column of `trials` that is not null, `p_` columns gathered under `parameters`
        and `m_` columns under `metrics`, its rows of `epochs` under `epochs_table`, and those of `layers` for the
        last epoch that has any under `layers_table`. For both, what the data call `columns` and `classes`.

    Raises:
        NotFoundError: The run has no such trial; the message names the nearest.
    """
    if trial_id is None:
        _tell_vanished(run)
        resolved = run.resolved()
        told = {**summary(run), "uri": run.uri, "resolved": resolved, **_names(resolved)}
        best = winner(run) if told["command"] == "sweep" else None
        return told if best is None else {**told, "winner": asdict(best)}
    row = row_of(run, trial_id)
    epochs, layers = (_rows_of(run, table, trial_id) for table in ("epochs", "layers"))
    last = max((row["epoch"] for row in layers), default=0)
    return {
        **{name: row[name] for name in row if name != "config_json" and not name.startswith(("p_", "m_"))},
        "parameters": with_prefix(row, "p_"),
        "metrics": with_prefix(row, "m_"),
        **_names(run.resolved()),
        "epochs_table": epochs,
        "layers_table": sorted(
            (row for row in layers if row["epoch"] == last), key=lambda row: int(row["depth"])
        ),
    }


def row_of(run: Run, trial_id: str) -> dict[str, Any]:
    """A trial's row of `trials`: every column that is not null.

    Raises:
        NotFoundError: The run has no such trial; the message names the nearest.
    """
    _tell_vanished(run)
    trials = read(run.location, "trials")
    ids = trials["trial_id"].to_pylist()
    if trial_id not in ids:
        known = f" It has {ids[0]} to {ids[-1]}." if ids else " It has no trials yet."
        raise NotFoundError(f"trial '{trial_id}' is not in run {run.run_id}.{known}{nearest(trial_id, ids)}")
    (row,) = trials.slice(ids.index(trial_id), 1).to_pylist()
    return {name: value for name, value in row.items() if value is not None}


def _names(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """What the data call the columns, and the classes with their numbers; and what is reached without a network."""
    columns, classes, baseline = resolved.get("columns"), resolved.get("classes"), resolved.get("baseline")
    return {
        **({"columns": columns} if columns else {}),
        **({"classes": [{"number": n, "name": name} for n, name in enumerate(classes)]} if classes else {}),
        **({"baseline": baseline} if baseline else {}),
    }


def summary(run: Run) -> dict[str, Any]:
    """A run in one row: the RUN_FIELDS; `best_value` is a mean where configurations have several seeds."""
    rows = read(run.location, "trials", _SUMMARY).to_pylist()
    states = Counter(row["state"] for row in rows)
    best = next(iter(ranked(rows, run.mode)), None)
    started = _times(rows, "started_at")
    ended = _times(rows, "ended_at")
    running = states[State.RUNNING] + states[State.PENDING] > 0
    open_trials = running or states[State.PREEMPTED] > 0
    return {
        "run_id": run.run_id,
        "command": run.resolved().get("command"),
        "metric": run.metric,
        "mode": run.mode,
        "trials": len(rows),
        **{state.lower(): states[state] for state in STATES},
        # A trial's own row counts its epochs only once it has ended.
        "epochs": read(run.location, "epochs").num_rows
        if open_trials
        else sum(row["epochs"] or 0 for row in rows),
        "best_value": best and best.mean,
        "best_trial_id": best and best.trial_id,
        "started_at": min(started, default=None),
        "ended_at": None if running else max(ended, default=None),
    }


def _tell_vanished(run: Run) -> None:
    for each in vanished(run):
        warnings.warn(each, stacklevel=3)


def _rows_of(run: Run, table: str, trial_id: str) -> list[dict[str, Any]]:
    """One trial's rows of a table, without what is the same in all of them."""
    rows = read(run.location, table)
    places = [place for place, other in enumerate(rows["trial_id"].to_pylist()) if other == trial_id]
    own = rows.take(row_numbers(np.array(places, dtype=np.int64)))
    found: list[dict[str, Any]] = own.drop_columns(["run_id", "trial_id"]).to_pylist()
    return found


def _taken(table: pa.Table, numbers: Sequence[int]) -> pa.Table:
    return table.take(row_numbers(np.array(numbers, dtype=np.int64)))


def _integers(values: Sequence[int]) -> pa.Array:
    return row_numbers(np.array(values, dtype=np.int64)).cast(INT32)


def _floats(values: Sequence[float | None]) -> pa.Array:
    """Made from the bytes, as `row_numbers` are."""
    known = np.packbits([value is not None for value in values], bitorder="little")
    numbers = np.array([value or 0.0 for value in values], dtype=np.float64)
    return pa.Array.from_buffers(FLOAT64, len(values), [pa.py_buffer(known), pa.py_buffer(numbers)])


def _differs(column: pa.ChunkedArray) -> bool:
    """Whether trials that have this parameter differ in it; whether they have it is told by the component's name."""
    return len({repr(value) for value in column.to_pylist() if value is not None}) > 1


def _times(rows: list[dict[str, Any]], name: str) -> list[datetime]:
    return [row[name] for row in rows if row[name] is not None]


def with_prefix(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Those whose names begin with a prefix, under their names without it."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
