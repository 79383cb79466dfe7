"""What `--resume` looks at first: whose folder it is, what changed since, what was lost; and ids of new runs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from raydnn.errors import StoreError, UsageError

if TYPE_CHECKING:
    from raydnn.spec.job import Job
    from raydnn.store.run import Run


def check_resumable(run: Run) -> None:
    """Refuse to go on with a copy; warn of data, code and versions that changed, and of rows that are gone.

    Raises:
        UsageError: Another folder of the storage holds the run.
        StoreError: The run's resolved.json is damaged, or a file cannot be read.
    """
    from raydnn.analysis.vanished import vanished, without_state
    from raydnn.launch.runs.fingerprints import changes

    _check_no_copy(run)
    for each in (*changes(run), *vanished(run), *without_state(run)):
        warnings.warn(each, stacklevel=2)


def id_of_new(asked: str | None, job: Job) -> str:
    """The id of a new run: the one asked for, which no run may have under any folder's name, or a fresh one.

    Raises:
        StoreError: It is taken.
    """
    from raydnn.store.run import new_run_id
    from raydnn.store.runs import holders
    from raydnn.store.storage.files import locate

    if asked is None:
        return new_run_id(job.name)
    for other in holders(locate(job.storage), asked):
        raise StoreError(f"run id '{asked}' is taken: {other.uri} holds the run of that id")
    return asked


def _check_no_copy(run: Run) -> None:
    """A run has one course: it goes on in the folder that is read."""
    from raydnn.store.runs import holders

    if run.location.name == run.run_id:
        return
    first = holders(run.location.parent, run.run_id)[0]
    if first.uri != run.uri:
        raise UsageError(
            f"{run.uri} is a copy of run {run.run_id}, which {first.uri} holds; "
            "go on with that one, or move the copy to another storage"
        )
