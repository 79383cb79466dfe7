"""What was submitted from this machine: later commands find a run's cluster by the run's id."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from raydnn.store.storage import files
from raydnn.store.storage.files import locate

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Submission:
    """One submitted run; holds no secret."""

    run_id: str
    address: str
    command: str
    storage: str
    submitted_at: str
    """UTC, ISO 8601."""


def submissions_folder() -> Path:
    """The folder that holds one file a submission: `$XDG_STATE_HOME/raydnn/submissions`."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "raydnn" / "submissions"


def remember(submission: Submission) -> None:
    """Write a submission's file (0600); one file each, so that submits at the same time never meet.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = locate(submissions_folder())
    files.make_folder(folder, private=True)
    files.write_bytes(
        folder / f"{submission.run_id}.json",
        json.dumps(asdict(submission)).encode(),
        scratch=folder.parent / ".tmp",
        private=True,
    )


def forget(run_id: str) -> None:
    """Remove a submission's file, if there is one."""
    _path(run_id).unlink(missing_ok=True)


def recall(run_id: str) -> Submission | None:
    """Return what is known of a run submitted from here; None when it was not, or its file is damaged."""
    return _read(_path(run_id)) if RUN_ID.fullmatch(run_id) else None


def recall_all() -> list[Submission]:
    """Return all submissions of this machine, newest first."""
    found = [_read(path) for path in submissions_folder().glob("*.json")]
    return sorted((each for each in found if each), key=lambda each: each.submitted_at, reverse=True)


def _path(run_id: str) -> Path:
    return submissions_folder() / f"{run_id}.json"


def _read(path: Path) -> Submission | None:
    try:
        fields = json.loads(path.read_bytes())
        return Submission(**{name: str(fields[name]) for name in Submission.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None
