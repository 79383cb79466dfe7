"""The logs in a run's folder: read once, or followed as they grow; and the errors of its trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from raydnn.store import files
from raydnn.store.files import Location
from raydnn.store.read import read
from raydnn.store.run import Run

POLL_SECONDS = 0.5


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
        for entry in files.list_files(logs):
            if not entry.name.endswith(".log") or offsets.get(entry.name, 0) == entry.size:
                continue
            for line in _new_lines(logs / entry.name, offsets, last_pass):
                if trial_id is None or trial_id in line or trial_id in entry.name:
                    yield f"{entry.name.removesuffix('.log')}: {line}"
        if last_pass:
            return
        time.sleep(POLL_SECONDS)


def errors(run: Run, trial_id: str | None = None) -> Iterator[str]:
    """Yield what went wrong in a run: a line for each failed trial, then its traceback where one was kept.

    Args:
        run: The run.
        trial_id: Only this trial.
    """
    for row in read(run.location, "trials").to_pylist():
        if (row["error_type"] or row["error"]) and trial_id in (None, row["trial_id"]):
            said = [text for text in (row["error_type"], row["error"]) if text]
            yield f"{row['trial_id']} {row['state']}: {': '.join(said)}"
            yield from _traceback(run, row)


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
