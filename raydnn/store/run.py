"""Runs: one folder each, made once, found again by id."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raydnn.errors import NotFoundError, StoreError, nearest
from raydnn.store import files
from raydnn.store.files import Location, locate
from raydnn.store.tables import TABLES

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STAMP = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]{4}$")
_STAMP_FORMAT = "%Y%m%d-%H%M%S"
RESOLVED = "resolved.json"


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
        return _read_resolved(self.location)

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


def create_run(storage: str, run_id: str, job_text: str, resolved: dict[str, Any]) -> Run:
    """Make a run's folder with job.yaml, resolved.json and empty tables.

    Args:
        storage: Folder or address that holds the runs.
        run_id: The run's id; letters, digits, `.`, `_`, `-`.
        job_text: The job file as given.
        resolved: What the job came to; holds at least `metric`, `mode`, `command`, `job`.

    Raises:
        StoreError: The id is malformed or taken, or the storage cannot be written.
    """
    if not _ID.fullmatch(run_id):
        raise StoreError(f"run id '{run_id}' is not allowed; allowed: {_ID.pattern}")
    location = locate(storage) / run_id
    run = Run(location, run_id, resolved["metric"], resolved["mode"])
    text = json.dumps(resolved, indent=2, ensure_ascii=False)
    try:
        files.make_folder(location, exist_ok=False)
    except FileExistsError as error:
        raise StoreError(_taken(storage, run_id, location)) from error
    if not location.local and files.exists(location / RESOLVED):
        raise StoreError(_taken(storage, run_id, location))
    try:
        for folder in (*TABLES, "checkpoints", ".tmp"):
            files.make_folder(location / folder)
        files.make_folder(location / "logs", private=True)
        files.write_bytes(location / "job.yaml", job_text.encode(), scratch=run.scratch, private=True)
        # Last, because its presence is what makes the folder a run.
        files.write_bytes(location / RESOLVED, text.encode(), scratch=run.scratch, private=True)
    except StoreError:
        if location.local:
            with contextlib.suppress(OSError):
                shutil.rmtree(location.path)
        raise
    return run


def rewrite_resolved(run: Run, resolved: dict[str, Any]) -> None:
    """Put another resolved.json in the place of a run's, whole or not at all.

    Raises:
        StoreError: It cannot be written; the old one is still there.
    """
    text = json.dumps(resolved, indent=2, ensure_ascii=False)
    files.write_bytes(run.location / RESOLVED, text.encode(), scratch=run.scratch, private=True)


def open_run(storage: str, run_id: str) -> Run:
    """Find a run.

    Raises:
        NotFoundError: There is no such run; the message names the nearest.
        StoreError: Its resolved.json is damaged.
    """
    location = locate(storage) / run_id
    if not _ID.fullmatch(run_id) or not is_run(location):
        known = list_runs(storage)
        hint = nearest(run_id, known) or (f" The newest is '{known[0]}'." if known else " There are no runs.")
        raise NotFoundError(f"run '{run_id}' is not in {storage}.{hint}")
    return run_at(location)


def run_at(location: Location) -> Run:
    """The run whose folder this is."""
    resolved = _read_resolved(location)
    try:
        return Run(location, location.name, str(resolved["metric"]), str(resolved["mode"]))
    except KeyError as error:
        raise StoreError(f"{location / RESOLVED} is damaged: it has no {error}") from error


def is_run(location: Location) -> bool:
    """Whether a folder is a run's."""
    return files.exists(location / RESOLVED)


def list_runs(storage: str) -> list[str]:
    """The ids of all runs in a storage, newest first."""
    return runs_in(locate(storage))


def runs_in(storage: Location) -> list[str]:
    """The ids of all runs in a storage, newest first."""
    names = files.list_folders(storage)
    written_ns = files.modified_ns([storage / name / RESOLVED for name in names])
    runs = [
        (_created(name, ns), ns, name) for name, ns in zip(names, written_ns, strict=True) if ns is not None
    ]
    return [name for _, _, name in sorted(runs, reverse=True)]


def _created(run_id: str, written_ns: int) -> str:
    """When a run was made: as its id says, which copying does not change, else as its file says."""
    stamp = _STAMP.search(run_id)
    return stamp[1] if stamp else datetime.fromtimestamp(written_ns / 1e9, UTC).strftime(_STAMP_FORMAT)


def _read_resolved(location: Location) -> dict[str, Any]:
    try:
        resolved = json.loads(files.read_bytes(location / RESOLVED))
    except FileNotFoundError as error:
        raise StoreError(f"{location / RESOLVED} is missing") from error
    except ValueError as error:
        raise StoreError(f"{location / RESOLVED} is damaged: {files.first_line(error)}") from error
    if not isinstance(resolved, dict):
        raise StoreError(f"{location / RESOLVED} is damaged: it is no JSON object")
    return resolved


def _taken(storage: str, run_id: str, location: Location) -> str:
    kind = "a run" if is_run(location) else "something"
    return f"run id '{run_id}' is taken: {storage} already has {kind} of that name"
