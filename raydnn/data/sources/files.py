"""Files as a user names them: found or refused in words, and unpacked by what they hold, not by their ending."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from raydnn.errors import DataError
from raydnn.machine import GIB, free_memory_bytes

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
"""What reading a damaged file raises."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_TOLD = 200
"""Characters of a path that a message shows."""


def existing_file(given: str) -> Path:
    """Return the path of a file that can be read, `~` expanded.

    Raises:
        DataError: There is none; the message says what is there instead.
    """
    path, mode = _found(given)
    if stat.S_ISDIR(mode):
        raise DataError(f"{path}: is a folder; a file is needed")
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: is a pipe, a socket or a device; a file is needed")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return path


def existing_folder(given: str) -> Path:
    """Return the path of a folder, `~` expanded; a DataError if there is none."""
    path, mode = _found(given)
    if not stat.S_ISDIR(mode):
        raise DataError(f"{path}: is a file; a folder is needed")
    return path


def _found(given: str) -> tuple[Path, int]:
    told = given if len(given) <= _TOLD else f"{given[:_TOLD]}..."
    if _ADDRESS.match(given):
        raise DataError(f"{told}: is an address; data is read from files: download it and give its path")
    if "\0" in given:
        raise DataError(f"{told!r}: no path holds the character NUL")
    try:
        path = Path(given).expanduser()
        return path, path.stat().st_mode
    except RuntimeError:
        raise DataError(f"{told}: there is no user {Path(given).parts[0].removeprefix('~')}") from None
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{told}: there is no such file{_nearest_folder(path)}") from None
    except OSError as error:
        raise DataError(f"{told}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{told!r}: is no path: {error}") from None


def _nearest_folder(path: Path) -> str:
    """Which folder on the way is missing, if one is."""
    whole = path.absolute()
    for folder in reversed(whole.parents):
        if not folder.exists():
            return f"; {folder.parent} has no {folder.name}"
    return ""


def opened(path: Path) -> IO[bytes]:
    """Open a file to read its content, unpacked where it is compressed, whatever its ending.

    Raises:
        OSError: It cannot be read. What is raised while a damaged one is read stands in `BROKEN`.
        DataError: While it is read: it unpacks to more than the memory can hold.
    """
    file = path.open("rb")
    start = file.read(6)
    file.seek(0)
    for magic, unpack in _PACKED.items():
        if start.startswith(magic):
            unpacked = _Unpacked(path, file, unpack(file))
            return io.BufferedReader(unpacked, 2**20)
    return file


def start_of(path: Path, count: int) -> bytes:
    """Return the first bytes of a file's content, unpacked.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with opened(path) as file:
            return file.read(count)
    except BROKEN as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: BaseException) -> DataError:
    """The error of a file that cannot be read, in one line."""
    if isinstance(error, EOFError):
        return DataError(f"{path}: the compressed file is truncated")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return DataError(f"{path}: cannot be read: {reason.partition(chr(10))[0]}")


def check_memory(path: Path, what: str, needed_bytes: int) -> None:
    """Refuse what the free memory cannot take; a DataError says how much it asks for."""
    free = free_memory_bytes()
    if free is not None and needed_bytes > free:
        raise DataError(
            f"{path}: {what} asks for {needed_bytes / GIB:,.1f} GiB of memory; {free / GIB:,.1f} GiB are free"
        )


def looks_like(start: bytes) -> str | None:
    """What a file's first bytes say it is, where that is a known format other than text or a NumPy archive."""
    for magic, what in _FORMATS.items():
        if start.startswith(magic):
            return what
    if start.startswith(b"PK\x03\x04"):
        if b"xl/" in start or b"[Content_Types].xml" in start:
            return "an Excel workbook (.xlsx)"
        return "a NumPy archive (.npz)" if b".npy" in start else "a zip archive"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if re.match(rb"<(!doctype|html|\?xml|head|body|!--)", text, re.IGNORECASE):
        return "HTML or XML"
    return "JSON" if re.match(rb'(\{\s*["}]|\[\s*[\[{])', text) else None


class _Unpacked(io.RawIOBase):
    """A stream that ends with an error before it fills the memory."""

    def __init__(self, path: Path, file: IO[bytes], stream: Any) -> None:
        self._path, self._file, self._stream, self._bytes = path, file, stream, 0
        free = free_memory_bytes()
        # What is made of the bytes takes memory, too.
        self._most_bytes = None if free is None else free // 2

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        self._bytes += len(piece)
        if self._most_bytes is not None and self._bytes > self._most_bytes:
            raise DataError(
                f"{self._path}: unpacks to more than {self._most_bytes / GIB:.1f} GiB, "
                "more than the free memory can take"
            )
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        self._file.close()
        super().close()


def _by_arrow(codec: str) -> Callable[[IO[bytes]], Any]:
    return lambda file: pa.CompressedInputStream(pa.PythonFile(file, "r"), codec)


_PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _by_arrow("zstd"),
    b"\x04\x22\x4d\x18": _by_arrow("lz4"),
}
"""How the content of a compressed file begins → function that unpacks it."""

_FORMATS = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"%PDF": "a PDF file",
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"\x80\x04": "a Python pickle, which is never read",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"Obj\x01": "an Avro file",
}
"""How a file begins → what it is."""
