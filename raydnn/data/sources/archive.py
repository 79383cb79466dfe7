"""Arrays of NumPy archives; nothing in one is unpickled, and none is read that the memory cannot take."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from raydnn.data.sources.files import BROKEN, check_memory, looks_like, start_of, unreadable
from raydnn.errors import DataError, nearest

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_MOST_LISTED = 20


def read_arrays(path: Path, wanted: Sequence[str], needed: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return arrays of an archive by name.

    Args:
        path: The archive.
        wanted: Their names.
        needed: Those of them that have to be there.

    Raises:
        DataError: It is no archive, is damaged, lacks an array, holds Python objects, or asks for more memory than
            is free.
    """
    _check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")
            }
            for name in needed:
                if name not in members:
                    listed = ", ".join(list(members)[:_MOST_LISTED]) or "none"
                    hint = nearest(name, list(members)[:1000])
                    raise DataError(f"{path}: there is no array '{name}' (arrays: {listed}).{hint}")
            found = {name: archive.getinfo(members[name]) for name in wanted if name in members}
            needed_bytes = sum(_declared_bytes(archive, path, name, info) for name, info in found.items())
            check_memory(path, f"its arrays {', '.join(found)}", needed_bytes)
            return {name: _read(archive, path, name, info) for name, info in found.items()}
    except (*BROKEN, ValueError, KeyError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise unreadable(path, error) from None
    except MemoryError:
        raise DataError(f"{path}: its arrays do not fit into the memory") from None


def array_names(path: Path) -> list[str]:
    """Return the names of an archive's arrays, in their order.

    Raises:
        DataError: It is no archive, or is damaged.
    """
    _check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (*BROKEN, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise unreadable(path, error) from None


def _check_archive(path: Path) -> None:
    start = start_of(path, 2**12)
    if start.startswith(b"\x93NUMPY"):
        raise DataError(f"{path}: is a single array; an .npz archive is needed")
    if zipfile.is_zipfile(path):
        return
    what = "is empty" if not start else "is truncated" if start.startswith(b"PK") else None
    kind = looks_like(start)
    if what is None:
        what = f"looks like {kind}" if kind else "is no NumPy archive"
    raise DataError(f"{path}: {what}; an .npz archive is needed")


def _declared_bytes(archive: zipfile.ZipFile, path: Path, name: str, info: zipfile.ZipInfo) -> int:
    """How many bytes an array's header asks for; its content has to be as long."""
    with archive.open(info) as member:
        shape, dtype = _header(member, path, name)
        begins = member.tell()
    declared = prod(shape) * dtype.itemsize
    if declared != info.file_size - begins:
        raise DataError(
            f"{path}, array '{name}': declares the shape {shape} of {dtype}, {declared:,} bytes; "
            f"{info.file_size - begins:,} are there"
        )
    return declared


def _header(member: IO[bytes], path: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(member)
    read = _HEADERS.get(version)
    if read is None:
        raise DataError(
            f"{path}, array '{name}': is of version {version[0]}.{version[1]} of NumPy's format; 1.0 or 2.0 is read"
        )
    shape, _, dtype = read(member)
    if dtype.hasobject:
        raise DataError(f"{path}, array '{name}': holds Python objects; numbers are needed")
    return shape, dtype


def _read(archive: zipfile.ZipFile, path: Path, name: str, info: zipfile.ZipInfo) -> NDArray[Any]:
    try:
        with archive.open(info) as member:
            return npy.read_array(member, allow_pickle=False)
    except (*BROKEN, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}, array '{name}': cannot be read: {str(error).partition(chr(10))[0]}"
        ) from None
