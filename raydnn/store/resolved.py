"""resolved.json: what a run is, sealed with a digest, so that a changed one is never another run unnoticed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from raydnn.errors import StoreError, first_line
from raydnn.spec.job import Job
from raydnn.store.storage import files
from raydnn.store.storage.files import Location
from raydnn.store.tables import EPOCHS

RESOLVED = "resolved.json"
_DIGEST = "sha256"
_ALLOWED = {
    "command": ("train", "sweep"),
    "metric": tuple(column.name for column in EPOCHS),
    "mode": ("min", "max"),
}


def encoded(resolved: dict[str, Any]) -> bytes:
    """The file's content, with the SHA-256 of all its other fields."""
    as_read = json.loads(json.dumps(resolved))
    sealed = {**as_read, _DIGEST: _digest(as_read)}
    return json.dumps(sealed, indent=2, ensure_ascii=False).encode()


def read_resolved(folder: Location) -> dict[str, Any]:
    """Read a run's resolved.json and check it against its digest; one of an earlier version has none.

    Raises:
        StoreError: It is missing or damaged; the message names it.
    """
    location = folder / RESOLVED
    try:
        resolved = json.loads(files.read_bytes(location))
    except FileNotFoundError as error:
        raise StoreError(f"{location} is missing") from error
    except (ValueError, RecursionError) as error:
        raise damaged(folder, first_line(error)) from error
    if not isinstance(resolved, dict):
        raise damaged(folder, "it is no JSON object")
    digest = resolved.pop(_DIGEST, None)
    if digest is None:
        _check_fields(folder, resolved)
    elif digest != _digest(resolved):
        raise damaged(
            folder,
            f"its content does not match its {_DIGEST}; restore it, or take that field out if you changed it yourself",
        )
    return resolved


def _check_fields(folder: Location, resolved: dict[str, Any]) -> None:
    """Check what no digest vouches for."""
    for name in ("metric", "mode"):
        if name not in resolved:
            raise damaged(folder, f"it has no '{name}'")
    for name, allowed in _ALLOWED.items():
        if resolved.get(name, allowed[0]) not in allowed:
            raise damaged(folder, f"{name}: {resolved[name]!r}; allowed: {', '.join(allowed)}")


def damaged(folder: Location, reason: str) -> StoreError:
    """The error that names a run's resolved.json and says what is wrong with it."""
    return StoreError(f"{folder / RESOLVED} is damaged: {reason}")


def job_in(folder: Location, value: Any) -> Job:
    """A job as the resolved.json of a run's folder keeps it.

    Raises:
        StoreError: It is none that this version reads.
    """
    try:
        return Job.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in ("job", *first["loc"]))
        raise damaged(folder, f"{field}: {first['msg']}") from error


def _digest(resolved: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()
