"""Listings of the store's folders, on a local disk or an object store."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

from pyarrow import fs

from raydnn.store.storage.files import Location, store_errors


@dataclass(frozen=True)
class Entry:
    """A file in a listing: its name and what changes when it is replaced."""

    name: str
    size: int
    modified_ns: int


def list_files(folder: Location) -> list[Entry]:
    """The files right inside a folder, by name; none if there is no such folder."""
    return [
        Entry(info.base_name, info.size, info.mtime_ns or 0)
        for info in _children(folder)
        if info.type == fs.FileType.File
    ]


def list_names(folder: Location) -> list[str]:
    """The names of all that is right inside a folder, in any order; none if there is no such folder."""
    if not folder.local:
        return [info.base_name for info in _children(folder)]
    with store_errors(folder, "read"), contextlib.suppress(FileNotFoundError):
        return os.listdir(folder.path)
    return []


def list_folders(folder: Location) -> list[str]:
    """The names of the folders right inside a folder; none if there is no such folder."""
    return [info.base_name for info in _children(folder) if info.type == fs.FileType.Directory]


def modified_ns(locations: list[Location]) -> list[int | None]:
    """When each file was last written, in nanoseconds of the epoch; None where there is no such file."""
    if not locations:
        return []
    with store_errors(locations[0].parent, "read"):
        infos = locations[0].filesystem.get_file_info([location.path for location in locations])
    return [(info.mtime_ns or 0) if info.type == fs.FileType.File else None for info in infos]


def _children(folder: Location) -> list[Any]:
    with store_errors(folder, "read"):
        infos = folder.filesystem.get_file_info(fs.FileSelector(folder.path, allow_not_found=True))
    return sorted(infos, key=lambda info: info.base_name)
