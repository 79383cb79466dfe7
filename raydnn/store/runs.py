"""The runs of a storage: listed, newest first, and found by id, whatever their folders are called."""

from __future__ import annotations

import contextlib
import re
import warnings
from datetime import UTC, datetime

from raydnn.errors import NotFoundError, StoreError, nearest
from raydnn.store.resolved import RESOLVED
from raydnn.store.run import STAMP_FORMAT, Run, has_rows, is_run, run_at
from raydnn.store.storage import listing
from raydnn.store.storage.files import Location, locate

_STAMP = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]{4}$")


def open_run(storage: str, run_id: str) -> Run:
    """Find a run by the name of its folder, or by its id where the folder was renamed.

    Raises:
        NotFoundError: There is no such run; the message names the nearest.
        StoreError: Its resolved.json is damaged.
    """
    folder = locate(storage)
    known: list[str] = []
    if _is_name(run_id):
        if is_run(folder / run_id):
            return run_at(folder / run_id)
        if has_rows(folder / run_id):
            raise StoreError(f"{folder / run_id / RESOLVED} is missing")
        known = runs_in(folder)
        renamed = holders(folder, run_id)
        if renamed:
            return renamed[0]
    hint = nearest(run_id, known) or (f" The newest is '{known[0]}'." if known else " There are no runs.")
    raise NotFoundError(f"run '{run_id}' is not in {storage}.{hint}")


def holders(storage: Location, run_id: str) -> list[Run]:
    """The folders of a storage that hold the run of an id; the first is the one that is read, others are its copies."""
    found = []
    for name in runs_in(storage):
        with contextlib.suppress(StoreError):
            found.append(run_at(storage / name))
    return sorted((run for run in found if run.run_id == run_id), key=_precedence)


def runs_of(storage: Location) -> list[Run]:
    """The runs of a storage, newest first, each once.

    Of copies in one storage that counts whose folder has the run's id as its name, else the first by name. The others,
    and runs that are damaged, are left out with a warning that names them.
    """
    found: dict[str, list[Run]] = {}
    for name in runs_in(storage):
        try:
            run = run_at(storage / name)
            found.setdefault(run.run_id, []).append(run)
        except StoreError as error:
            warnings.warn(f"{error}; the run is left out", stacklevel=2)
    for name in _folders(storage):
        if not is_run(storage / name) and has_rows(storage / name):
            warnings.warn(f"{storage / name / RESOLVED} is missing; the run is left out", stacklevel=2)
    read = []
    for run_id, copies in found.items():
        first, *others = sorted(copies, key=_precedence)
        read.append(first)
        for other in others:
            warnings.warn(
                f"{other.uri} is a copy of run {run_id}, which is read from {first.uri}; the copy is left out",
                stacklevel=2,
            )
    return read


def latest_run(storage: str) -> str | None:
    """The folder of the newest run of a storage, which is no copy of another one; None where there are no runs."""
    for name in list_runs(storage)[:1]:
        with contextlib.suppress(StoreError):  # whoever opens it is told
            run = run_at(locate(storage) / name)
            if run.run_id != name:
                return holders(run.location.parent, run.run_id)[0].location.name
        return name
    return None


def _precedence(run: Run) -> tuple[bool, str]:
    """Of copies, the one whose folder has the run's id as its name comes first."""
    return run.location.name != run.run_id, run.location.name


def list_runs(storage: str) -> list[str]:
    """The folders of all runs in a storage, newest first."""
    return runs_in(locate(storage))


def runs_in(storage: Location) -> list[str]:
    """The folders of all runs in a storage, newest first."""
    names = _folders(storage)
    written_ns = listing.modified_ns([storage / name / RESOLVED for name in names])
    runs = [
        (_created(name, ns), ns, name) for name, ns in zip(names, written_ns, strict=True) if ns is not None
    ]
    return [name for _, _, name in sorted(runs, reverse=True)]


def _folders(storage: Location) -> list[str]:
    """The folders that may be runs; one that is being made is none yet."""
    return [name for name in listing.list_folders(storage) if _is_name(name)]


def _is_name(text: str) -> bool:
    """Whether a text can be the name of a run's folder, which a user may have chosen."""
    return bool(text) and "/" not in text and not text.startswith(".")


def _created(run_id: str, written_ns: int) -> str:
    """When a run was made: as its id says, which copying does not change, else as its file says."""
    stamp = _STAMP.search(run_id)
    return stamp[1] if stamp else datetime.fromtimestamp(written_ns / 1e9, UTC).strftime(STAMP_FORMAT)
