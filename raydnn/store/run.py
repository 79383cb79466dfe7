"""Runs: one folder each, made once, found again by id."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raydnn.errors import StoreError, first_line
from raydnn.spec.job import Job, SweepJob
from raydnn.store.parts import id_of_files, part_entries
from raydnn.store.resolved import RESOLVED, damaged, encoded, job_in, read_resolved
from raydnn.store.storage import files, listing
from raydnn.store.storage.files import Location, locate
from raydnn.store.tables import TABLES

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
STAMP_FORMAT = "%Y%m%d-%H%M%S"


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
    return f"{job_name}-{datetime.now(UTC).strftime(STAMP_FORMAT)}-{secrets.token_hex(2)}"


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
        raise StoreError(f"{location} cannot be read: {first_line(error)}") from error
    return any(each != path / "job.yaml" for each in left)


def _put_in_place(begun: Location, location: Location, storage: str) -> None:
    """Give a run's whole folder its name; of two processes that try, one wins."""
    if files.exists(location):
        # What was left there; only empty folders go, so that never another's run is removed.
        for each in listing.list_files(location / ".tmp"):
            files.remove(location / ".tmp" / each.name)
        files.remove(location / "job.yaml")
        for name in listing.list_folders(location):
            files.remove_folder(location / name)
        files.remove_folder(location)
    try:
        files.rename(begun, location)
    except (StoreError, FileNotFoundError) as error:
        if files.exists(location):
            raise StoreError(_taken(storage, location.name, location)) from error
        raise StoreError(f"{location} cannot be written: {first_line(error)}") from error
    files.sync_folder(location.parent)


def rewrite_resolved(run: Run, resolved: dict[str, Any]) -> None:
    """Put another resolved.json in the place of a run's, whole or not at all.

    Raises:
        StoreError: It cannot be written; the old one is still there.
    """
    content = encoded({"run_id": run.run_id, **resolved})
    files.write_bytes(run.location / RESOLVED, content, scratch=run.scratch, private=True)


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


def _taken(storage: str, run_id: str, location: Location) -> str:
    kind = "a run" if is_run(location) else "something"
    return f"run id '{run_id}' is taken: {storage} already has {kind} of that name"
