"""The logs in a run's folder: read once, or followed as they grow; and the errors of its trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.states import WRECKED, State
from raydnn.store.storage import files, listing
from raydnn.store.storage.files import Location

POLL_SECONDS = 0.5
LAST_EPOCHS = 3
"""Of a trial that diverged so many are told."""
_WRECK = ("trial_id", "state", "stop_reason", "error_type", "error", "traceback_path")
_COURSE = ("trial_id", "epoch", "train_loss", "validation_loss", "lr", "grad_norm")


def read_lines(logs: Location, trial_id: str | None = None) -> Iterator[str]:
    """Yield the lines of a run's logs, each behind the name of its file.

    Args:
        logs: The run's `logs` folder.
        trial_id: Only what names this trial: in the line, or in the name of the file.
    """
    return follow_lines(logs, lambda: False, trial_id)


def follow_lines(logs: Location, running: Callable[[], bool], trial_id: str | None = None) -> Iterator[str]:
    """Yield the lines of a run's logs as they are written, until the run has ended.

    Args:
        logs: The run's `logs` folder.
        running: Whether the run goes on.
        trial_id: As in `read_lines`.
    """
    offsets: dict[str, int] = {}
    while True:
        last_pass = not running()
        for entry in listing.list_files(logs):
            if not entry.name.endswith(".log") or offsets.get(entry.name, 0) == entry.size:
                continue
            for line in _new_lines(logs / entry.name, offsets, last_pass):
                if trial_id is None or trial_id in line or trial_id in entry.name:
                    yield f"{entry.name.removesuffix('.log')}: {line}"
        if last_pass:
            return
        time.sleep(POLL_SECONDS)


def errors(run: Run, trial_id: str | None = None) -> Iterator[str]:
    """Yield what went wrong in a run: a line for each trial that failed or diverged, then what is known of it.

    That is the traceback where one was kept, and of a trial that diverged its last epochs.

    Args:
        run: The run.
        trial_id: Only this trial.
    """
    for row in wrecked(run):
        if trial_id in (None, row["trial_id"]):
            yield f"{row['trial_id']} {row['state']}: {reason(row)}"
            yield from _traceback(run, row)
            if row["state"] == State.DIVERGED:
                yield from _last_epochs(run, row["trial_id"])


def wrecked(run: Run) -> list[dict[str, Any]]:
    """Those rows of `trials`, a few columns of them, that failed or diverged or tell of an error."""
    rows: list[dict[str, Any]] = read(run.location, "trials", _WRECK).to_pylist()
    return [row for row in rows if row["state"] in WRECKED or row["error_type"] or row["error"]]


def reason(row: Mapping[str, Any]) -> str:
    """Why a trial ended as it did, in one line."""
    said = [text for text in (row["error_type"], row["error"]) if text]
    return ": ".join(said) or row["stop_reason"] or "no reason is known"


def _new_lines(log: Location, offsets: dict[str, int], whole: bool) -> list[str]:
    """Complete lines since the last call; with `whole` a last line without an end too."""
    fresh = files.read_bytes(log, offsets.get(log.name, 0))
    if not whole:
        fresh = fresh[: fresh.rfind(b"\n") + 1]
    offsets[log.name] = offsets.get(log.name, 0) + len(fresh)
    return str(fresh, "utf-8", "replace").splitlines()


def _traceback(run: Run, row: dict[str, Any]) -> list[str]:
    path = PurePosixPath(row["traceback_path"] or "")
    if not path.parts or path.is_absolute() or ".." in path.parts:
        return []
    try:
        return str(files.read_bytes(run.location / str(path)), "utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def _last_epochs(run: Run, trial_id: str) -> Iterator[str]:
    rows = [row for row in read(run.location, "epochs", _COURSE).to_pylist() if row["trial_id"] == trial_id]
    for row in rows[-LAST_EPOCHS:]:
        numbers = (f"{name} {row[name]:.4g}" for name in _COURSE[2:] if row[name] is not None)
        yield f"  epoch {row['epoch']}: {', '.join(numbers)}"
