"""The working folder as it is sent to a cluster: code and job files, without data, results and caches."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from raydnn.errors import UsageError

LIMIT_BYTES = 100_000_000

EXCLUDES = (
    ".git",
    ".hg",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    "*.egg-info",
    "/data",
    "/results",
    "/build",
    "/dist",
)
"""Patterns as in a .gitignore; the folder's own .gitignore and .rayignore hold too."""


def pack(folder: Path, archive: Path, *, needed: Iterable[Path], left_out: Iterable[Path] = ()) -> None:
    """Write the archive to send; the same files give the same bytes, which the cluster then has already.

    Args:
        folder: The folder to send.
        archive: The zip file to write.
        needed: Files inside the folder that must be sent.
        left_out: Files and folders not to send, besides EXCLUDES; those beyond the folder do not matter.

    Raises:
        UsageError: More than LIMIT_BYTES to send, a needed file left out, or a file that cannot be read.
    """
    inside = [path.relative_to(folder) for path in left_out if path.is_relative_to(folder) and path != folder]
    files = _files(folder, [*EXCLUDES, *(f"/{glob.escape(path.as_posix())}" for path in inside)])
    for path in needed:
        if path not in files:
            raise UsageError(
                f"{path}: is not sent to the cluster; .gitignore, .rayignore or a folder that is never sent "
                "(data, results, caches) leaves it out"
            )
    try:
        with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=1) as zipped:
            for path in files:
                entry = ZipInfo(path.relative_to(folder).as_posix())
                entry.external_attr = (path.stat().st_mode & 0o777) << 16
                entry.compress_type = ZIP_DEFLATED
                zipped.writestr(entry, path.read_bytes())
    except OSError as error:
        raise UsageError(f"{error.filename or archive}: cannot be packed ({error.strerror})") from None


def _files(folder: Path, excludes: list[str]) -> list[Path]:
    # Ray's own walk, so that .gitignore and .rayignore mean what they mean to `ray job submit`.
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    sizes: dict[Path, int] = {}
    total = 0

    def add(path: Path) -> None:
        nonlocal total
        if path.is_file():
            sizes[path] = path.stat().st_size
            total += sizes[path]
            if total > LIMIT_BYTES:
                raise UsageError(_too_large(folder, sizes))

    quiet = logging.getLogger("raydnn.upload")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    _dir_travel(folder, [_get_excludes(folder, excludes)], add, include_gitignore=True, logger=quiet)
    return sorted(sizes)


def _too_large(folder: Path, sizes: dict[Path, int]) -> str:
    entries: dict[str, int] = {}
    for path, size in sizes.items():
        top = path.relative_to(folder).parts[0]
        entries[top] = entries.get(top, 0) + size
    largest = sorted(entries.items(), key=lambda entry: -entry[1])[:3]
    named = ", ".join(f"{name} ({size / 1e6:.0f} MB)" for name, size in largest)
    return (
        f"{folder}: more than {LIMIT_BYTES / 1e6:.0f} MB to send to the cluster, among it {named}; "
        "name what is not code in .gitignore or .rayignore, or submit from a smaller folder"
    )
