"""Finding the run that a user means: by its id, its folder, its address, or as the latest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from raydnn.errors import NotFoundError

if TYPE_CHECKING:
    from raydnn.store.run import Run

LATEST = "latest"
STORAGE = "results"
"""Where runs are looked for, unless somebody says it."""


def run_place(run: str, storage: str) -> tuple[str, str]:
    """Split what the user wrote for RUN into the storage and the run id.

    Args:
        run: A run id, `latest`, or the path or URI of a run's folder.
        storage: The storage to look in when `run` is no path.

    Returns:
        (storage, run id).

    Raises:
        NotFoundError: `latest` was asked of a storage without runs.
    """
    # Imported where they are needed: help needs the names above, and pyarrow takes half a second.
    if run == LATEST:
        from raydnn.store.runs import latest_run

        name = latest_run(storage)
        if name is None:
            raise NotFoundError(f"no run in '{storage}'; `--storage` says where runs are")
        return storage, name
    if "/" in run or (Path(run) / "resolved.json").is_file():
        from raydnn.store.storage.files import locate

        folder = locate(run)
        return folder.parent.uri, folder.name
    return storage, run


def run_and_trial(given: str) -> tuple[str, str | None]:
    """RUN and TRIAL of `RUN[:TRIAL]`, a trial being `t` and a number; None: it names none."""
    run, colon, trial = given.rpartition(":")
    return (run, trial) if colon and re.fullmatch(r"t\d+", trial) else (given, None)


def find_run(run: str, storage: str) -> Run:
    """Open the run that the user means.

    Args:
        run: A run id, `latest`, or the path or URI of a run's folder.
        storage: The storage to look in when `run` is no path.

    Raises:
        NotFoundError: There is no such run; names the nearest ids.
    """
    from raydnn.store.runs import open_run

    return open_run(*run_place(run, storage))
