"""The logs in a run's folder: read once, or followed as they grow; and the errors of its trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raydnn.store.read import read
from raydnn.store.run import Run

POLL_SECONDS = 0.5


def read_lines(logs: Path, trial_id: str | None = None) -> Iterator[str]:
    """Yield the lines of a run's logs, each behind the name of its file.

    Args:
        logs: The run's `logs` folder.
        trial_id: Only what names this trial: in the line, or in the name of the file.
    """
    return follow_lines(logs, lambda: False, trial_id)


def follow_lines(logs: Path, running: Callable[[], bool], trial_id: str | None = None) -> Iterator[str]:
    """Yield the lines of a run's logs as they are written, until the run has ended.

    Args:
        logs: The run's `logs` folder.
        running: Whether the run goes on.
        trial_id: As in `read_lines`.
    """
    offsets: dict[Path, int] = {}
    while True:
        last_pass = not running()
        for path in sorted(logs.glob("*.log")):
            for line in _new_lines(path, offsets, last_pass):
                if trial_id is None or trial_id in line or trial_id in path.name:
                    yield f"{path.stem}: {line}"
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


def _new_lines(path: Path, offsets: dict[Path, int], whole: bool) -> list[str]:
    """Complete lines since the last call; with `whole` a last line without an end too."""
    with path.open("rb") as file:
        file.seek(offsets.get(path, 0))
        fresh: bytes = file.read()
    if not whole:
        fresh = fresh[: fresh.rfind(b"\n") + 1]
    offsets[path] = offsets.get(path, 0) + len(fresh)
    return str(fresh, "utf-8", "replace").splitlines()


def _traceback(run: Run, row: dict[str, Any]) -> list[str]:
    if row["traceback_path"] is None or not run.location.local:
        return []
    folder = run.local_path().resolve()
    path = (folder / str(row["traceback_path"])).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
