"""Runs: one folder each, made once, found again by id."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raydnn.errors import NotFoundError, StoreError, nearest
from raydnn.spec.job import Job, SweepJob
from raydnn.store import files
from raydnn.store.files import Location, locate
from raydnn.store.parts import id_of_files, part_entries
from raydnn.store.resolved import RESOLVED, damaged, encoded, job_in, read_resolved
from raydnn.store.tables import TABLES

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STAMP = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]{4}$")
_STAMP_FORMAT = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Run:
    """A run's folder, and how its trials are ranked."""

    location: Location
    run_id: str
    metric: str
    mode: str

    @property
    def uri(self) -> str:
        """The absolute path of a local run, the address of another one."""
        return self.location.uri

    @property
    def scratch(self) -> Location:
        """The folder of files that are being written."""
        return self.location / ".tmp"

    def resolved(self) -> dict[str, Any]:
        """The run's resolved.json: command, job, metric, mode, versions and so on.

        Raises:
            StoreError: It is missing or damaged.
        """
        return read_resolved(self.location)

    def job(self, kept: Any = None) -> Job:
        """The run's job; or another one as its resolved.json keeps it.

        Raises:
            StoreError: It is none that this version reads.
        """
        return job_in(self.location, self.resolved().get("job") if kept is None else kept)

    def sweep_job(self, kept: Any = None) -> SweepJob:
        """The job of a sweep.

        Raises:
            StoreError: It is none, or it searches nothing.
        """
        job = self.job(kept).as_sweep()
        if job is None:
            raise damaged(self.location, "job.search: missing, though the run is a sweep")
        return job

    def local_path(self, *parts: str) -> Path:
        """A path inside the run's folder.

        Raises:
            StoreError: The storage is no local folder.
        """
        if not self.location.local:
            raise StoreError(f"{self.uri} is not a local folder; this needs one")
        return Path(self.location.path, *parts)


def new_run_id(job_name: str) -> str:
    """A fresh id: the job's name, the time in UTC, and four random hexadecimal digits."""
    return f"{job_name}-{datetime.now(UTC).strftime(_STAMP_FORMAT)}-{secrets.token_hex(2)}"


def create_run(
    storage: str,
    run_id: str,
    job_text: str,
    resolved: dict[str, Any],
    fill: Callable[[Run], None] = lambda _: None,
) -> Run:
    """Make a run's folder with job.yaml, resolved.json and its first rows: whole, or not at all.

    On a local disk it is made under another name and then renamed, so that no crash leaves half a run; elsewhere
    resolved.json, whose presence makes a folder a run, is written last.

    Args:
        storage: Folder or address that holds the runs.
        run_id: The run's id; letters, digits, `.`, `_`, `-`.
        job_text: The job file as given.
        resolved: What the job came to; holds at least `metric`, `mode`, `command`, `job`.
        fill: Commits the run's first rows.

    Raises:
        StoreError: The id is malformed or taken, or the storage cannot be written.
    """
    if not _ID.fullmatch(run_id):
        raise StoreError(f"run id '{run_id}' is not allowed; allowed: {_ID.pattern}")
    folder = locate(storage)
    run = Run(folder / run_id, run_id, resolved["metric"], resolved["mode"])
    if _is_taken(run.location):
        raise StoreError(_taken(storage, run_id, run.location))
    begun = replace(run, location=folder / f".{run_id}.{secrets.token_hex(4)}") if folder.local else run
    try:
        files.make_folder(begun.location)
        for name in (*TABLES, "checkpoints", ".tmp"):
            files.make_folder(begun.location / name)
        files.make_folder(begun.location / "logs", private=True)
        files.write_bytes(begun.location / "job.yaml", job_text.encode(), scratch=begun.scratch, private=True)
        fill(begun)
        rewrite_resolved(begun, resolved)
        if folder.local:
            _put_in_place(begun.location, run.location, storage)
    except BaseException:
        if folder.local:
            shutil.rmtree(begun.location.path, ignore_errors=True)
        raise
    return run


def _is_taken(location: Location) -> bool:
    """Whether a folder holds anything but what a run that was never made whole has left."""
    if not location.local:
        return is_run(location)
    path = Path(location.path)
    try:
        if not path.is_dir():
            return path.exists()
        left = [each for each in path.rglob("*") if not each.is_dir() and each.parent.name != ".tmp"]
    except OSError as error:
        raise StoreError(f"{location} cannot be read: {files.first_line(error)}") from error
    return any(each != path / "job.yaml" for each in left)


def _put_in_place(begun: Location, location: Location, storage: str) -> None:
    """Give a run's whole folder its name; of two processes that try, one wins."""
    if files.exists(location):
        # What was left there; only empty folders go, so that never another's run is removed.
        for each in files.list_files(location / ".tmp"):
            files.remove(location / ".tmp" / each.name)
        files.remove(location / "job.yaml")
        for name in files.list_folders(location):
            files.remove_folder(location / name)
        files.remove_folder(location)
    try:
        files.rename(begun, location)
    except (StoreError, FileNotFoundError) as error:
        if files.exists(location):
            raise StoreError(_taken(storage, location.name, location)) from error
        raise StoreError(f"{location} cannot be written: {files.first_line(error)}") from error
    files.sync_folder(location.parent)


def rewrite_resolved(run: Run, resolved: dict[str, Any]) -> None:
    """Put another resolved.json in the place of a run's, whole or not at all.

    Raises:
        StoreError: It cannot be written; the old one is still there.
    """
    content = encoded({"run_id": run.run_id, **resolved})
    files.write_bytes(run.location / RESOLVED, content, scratch=run.scratch, private=True)


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


def run_at(location: Location) -> Run:
    """The run whose folder this is; it is who its resolved.json says, whatever the folder is called.

    Raises:
        StoreError: Its resolved.json is damaged.
    """
    resolved = read_resolved(location)
    # Runs of earlier versions are who their files say.
    run_id = resolved.get("run_id") or id_of_files(location) or location.name
    return Run(location, str(run_id), str(resolved["metric"]), str(resolved["mode"]))


def is_run(location: Location) -> bool:
    """Whether a folder is a run's."""
    return files.exists(location / RESOLVED)


def has_rows(location: Location) -> bool:
    """Whether a folder holds rows of trials; one without resolved.json was a run."""
    return bool(part_entries(location, "trials"))


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
    written_ns = files.modified_ns([storage / name / RESOLVED for name in names])
    runs = [
        (_created(name, ns), ns, name) for name, ns in zip(names, written_ns, strict=True) if ns is not None
    ]
    return [name for _, _, name in sorted(runs, reverse=True)]


def _folders(storage: Location) -> list[str]:
    """The folders that may be runs; one that is being made is none yet."""
    return [name for name in files.list_folders(storage) if _is_name(name)]


def _is_name(text: str) -> bool:
    """Whether a text can be the name of a run's folder, which a user may have chosen."""
    return bool(text) and "/" not in text and not text.startswith(".")


def _created(run_id: str, written_ns: int) -> str:
    """When a run was made: as its id says, which copying does not change, else as its file says."""
    stamp = _STAMP.search(run_id)
    return stamp[1] if stamp else datetime.fromtimestamp(written_ns / 1e9, UTC).strftime(_STAMP_FORMAT)


def _taken(storage: str, run_id: str, location: Location) -> str:
    kind = "a run" if is_run(location) else "something"
    return f"run id '{run_id}' is taken: {storage} already has {kind} of that name"
