"""Files of the store, on a local disk or an object store: read whole, written atomically, never torn."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyarrow import ArrowException, fs

from raydnn.errors import StoreError, first_line

_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://[^?]*(?P<query>\?.*)?")


@dataclass(frozen=True)
class Location:
    """A file or folder: a file system and a path in it."""

    filesystem: Any
    path: str
    scheme: str = ""
    query: str = ""

    def __truediv__(self, name: str) -> Location:
        """The file or folder `name` inside this folder."""
        return replace(self, path=f"{self.path.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.uri

    @property
    def parent(self) -> Location:
        """The folder this lies in."""
        return replace(self, path=self.path.rstrip("/").rpartition("/")[0] or "/")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def local(self) -> bool:
        """Whether this lies on a disk of this machine (or one mounted on it)."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def uri(self) -> str:
        """The absolute path of a local file, the address of another one; `locate` reads both back."""
        return f"{self.scheme}://{self.path}{self.query}" if self.scheme else self.path


def locate(text: str | os.PathLike[str]) -> Location:
    """Find the file system of a folder, a `file://` address or an object store's address.

    Args:
        text: For instance `results`, `file:///tmp/results`, `s3://bucket/results`, `gs://bucket/results`.

    Raises:
        StoreError: The address is of an unknown kind or malformed.
    """
    text = os.fspath(text)
    match = _URI.fullmatch(text)
    if match is None:
        return Location(fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text)))
    try:
        filesystem, path = fs.FileSystem.from_uri(text)
    except (ArrowException, OSError, ValueError) as error:
        allowed = "a folder, file://..., s3://... or gs://..."
        raise StoreError(
            f"storage '{text}' cannot be opened: {first_line(error)}; allowed: {allowed}"
        ) from error
    if isinstance(filesystem, fs.LocalFileSystem):
        return Location(filesystem, os.path.abspath(path))
    return Location(filesystem, path, match["scheme"], match["query"] or "")


def read_bytes(location: Location, start: int = 0) -> bytes:
    """Read a file.

    Args:
        location: The file.
        start: Where to begin, in bytes.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: It cannot be read.
    """
    with (
        store_errors(location, "read", passing=(FileNotFoundError,)),
        location.filesystem.open_input_file(location.path) as stream,
    ):
        if start:
            stream.seek(start)
        return bytes(stream.read())


def write_bytes(
    location: Location, data: bytes, *, scratch: Location | None = None, private: bool = False
) -> None:
    """Create or replace a file atomically and durably: it is the old one or the new one, never torn.

    On a local disk: a temporary file, fsync, rename, fsync of the folder. Elsewhere: one upload, which
    becomes visible when it is complete.

    Args:
        location: The file.
        data: Its whole content.
        scratch: Folder of the temporary file, on the same disk; by default `.tmp` beside the file.
        private: Whether only the owner may read it (mode 0600); local disks only.

    Raises:
        StoreError: It cannot be written (disk full, permissions, ...); an old file is still there.
    """
    with store_errors(location, "written"):
        _replace(location, data, scratch or location.parent / ".tmp", 0o600 if private else 0o666)
    if location.local:
        sync_folder(location.parent)


def write_together(folder: Location, contents: Mapping[str, bytes]) -> None:
    """Create or replace several files of a folder; when this returns, all of them survive any crash.

    A crash before that may leave any of them, each whole. The folder itself is only written to the disk once.

    Raises:
        StoreError: One cannot be written.
    """
    for name, data in contents.items():
        with store_errors(folder / name, "written"):
            _replace(folder / name, data, folder / ".tmp", 0o666)
    if folder.local:
        sync_folder(folder)


def _replace(location: Location, data: bytes, scratch: Location, mode: int) -> None:
    """Put a whole file in its place; on a local disk its name may not be durable yet."""
    if not location.local:
        with location.filesystem.open_output_stream(location.path) as stream:
            stream.write(data)
        return
    folder = Path(scratch.path)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{location.name}.{secrets.token_hex(8)}"
    try:
        _write_durably(temporary, data, mode)
        os.replace(temporary, location.path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def make_folder(location: Location, *, private: bool = False, exist_ok: bool = True) -> None:
    """Make a local folder and its parents; object stores have no folders, so nothing is done there.

    Raises:
        FileExistsError: It exists and `exist_ok` is false.
        StoreError: It cannot be made.
    """
    if not location.local:
        return
    with store_errors(location, "written"):
        os.makedirs(location.parent.path, exist_ok=True)
    with store_errors(location, "written", passing=(FileExistsError,)):
        try:
            os.mkdir(location.path, 0o700 if private else 0o777)
        except FileExistsError:
            if not exist_ok or not os.path.isdir(location.path):
                raise
        sync_folder(location.parent)


def sync_folder(location: Location) -> None:
    """Make the entries of a local folder durable: without it a rename may be undone by a power cut.

    Raises:
        StoreError: The disk does not take them.
    """
    with store_errors(location, "written"):
        descriptor = os.open(location.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove(location: Location) -> None:
    """Remove a file; one that is already gone is as good."""
    with store_errors(location, "removed"), contextlib.suppress(FileNotFoundError):
        if location.local:
            os.unlink(location.path)
        else:
            location.filesystem.delete_file(location.path)


def remove_folder(location: Location) -> None:
    """Remove an empty local folder; one that is gone or not empty, or an object store's, is left as it is."""
    if location.local:
        with contextlib.suppress(OSError):
            os.rmdir(location.path)


def remove_tree(folder: Location) -> None:
    """Remove a folder and all that is in it; one that is already gone is as good."""
    with store_errors(folder, "removed"), contextlib.suppress(FileNotFoundError):
        folder.filesystem.delete_dir(folder.path)


def rename(source: Location, target: Location) -> None:
    """Move a local file within its disk.

    Raises:
        FileNotFoundError: The source is gone.
        StoreError: It cannot be moved.
    """
    with store_errors(source, "moved", passing=(FileNotFoundError,)):
        os.replace(source.path, target.path)


def exists(location: Location) -> bool:
    """Whether there is a file or folder."""
    with store_errors(location, "read"):
        return bool(location.filesystem.get_file_info(location.path).type != fs.FileType.NotFound)


def _write_durably(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def store_errors(
    location: Location, action: str, *, passing: tuple[type[OSError], ...] = ()
) -> Iterator[None]:
    """Turn the system's errors into one the user can read, but for those the caller handles."""
    try:
        yield
    except passing:
        raise
    except OSError as error:
        raise StoreError(f"{location.uri} cannot be {action}: {first_line(error)}") from error
