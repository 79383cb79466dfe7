"""The folder of an embedded Ray: private, short enough for sockets, gone when its Ray is; and what killed ones left."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raydnn.errors import ClusterError
from raydnn.launch.runs.driver import start_ticks, this_machine

VARIABLES = ("RAY_TMPDIR", "TMPDIR")
"""They say where the folder is, the first one before the second."""
LONGEST = 29
"""Most bytes of the path it is in: its own name has 14, Ray adds 64, and a socket's path has at most 107."""
NEEDED_BYTES = 32 * 2**20
TOKEN = "auth_token"
_PREFIX = "rdnn-"
_OWNER = "owner"
"""File with the id of the process whose Ray it is, its start since boot in clock ticks, and where the id counts."""


@contextmanager
def session_folder() -> Iterator[Path]:
    """A new folder (0700) for the session of a Ray that this process starts; removed at the end.

    Processes and folders of Rays whose own process was killed are ended and removed as well.

    Raises:
        ClusterError: There is no place for it.
    """
    parent = _place()
    remove_left_over(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        (folder / _OWNER).write_text(f"{os.getpid()} {start_ticks(os.getpid())} {this_machine()}")
        yield folder
    finally:
        _remove(folder)


@contextmanager
def token_in(folder: Path) -> Iterator[None]:
    """Have a Ray that is started in this block take a token of its own, unless the user has one.

    Ray would write one to the home, which may be missing or not be writable, and readable by everyone at first.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH") or _has_token():
        yield
        return
    path = folder / TOKEN
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(_own_token())
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_TOKEN_PATH"]


_tokens: list[str] = []


def _own_token() -> str:
    """One a process: Ray reads it once."""
    if not _tokens:
        _tokens.append(secrets.token_hex(32))
    return _tokens[0]


def _has_token() -> bool:
    with suppress(OSError, RuntimeError):
        return os.access(Path.home() / ".ray" / TOKEN, os.R_OK)
    return False


def _place() -> Path:
    """Where the folder is made: where a variable says, else, or where that cannot be, in /tmp."""
    named = [(name, os.environ[name]) for name in VARIABLES if os.environ.get(name)]
    refused: list[str] = []
    for name, path in [*named, ("", "/tmp"), ("", "/var/tmp"), ("", "/dev/shm")]:
        why = _unfit(Path(path))
        if why is None:
            if refused and named:
                warnings.warn(f"{'; '.join(refused)}; Ray's own files are in {path} instead", stacklevel=2)
            return Path(path)
        refused.append(f"{name}={path}: {why}" if name else f"{path}: {why}")
    raise ClusterError(
        f"Ray needs a folder for its own files, and there is none: {'; '.join(refused)}; set TMPDIR to a folder that "
        f"can be written, whose path has at most {LONGEST} bytes"
    )


def _unfit(folder: Path) -> str | None:
    """Why a folder cannot hold Ray's; None where it can."""
    if len(os.fsencode(folder)) > LONGEST:
        return f"is longer than the {LONGEST} bytes that Ray's sockets allow"
    if not folder.is_dir():
        return "is no folder"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None if free >= NEEDED_BYTES else f"has {free / 2**20:.0f} MiB left"


def remove_left_over(parent: Path) -> None:
    """End the processes of Rays whose own process was killed, and remove their folders."""
    for owner in parent.glob(f"{_PREFIX}*/{_OWNER}"):
        with suppress(OSError, ValueError):
            pid, ticks, machine = owner.read_text().split(maxsplit=2)
            mine = owner.stat().st_uid == os.getuid() and machine == this_machine()
            if mine and start_ticks(int(pid)) != int(ticks):
                _remove(owner.parent)


def _remove(folder: Path) -> None:
    """Remove a Ray's folder, and end what still works there."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.name != str(os.getpid()) and _works_in(process, folder):
                os.kill(int(process.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _works_in(process: Path, folder: Path) -> bool:
    """Whether a process was started for a folder, or has files of it open: Ray's agents change their titles."""
    if os.fsencode(folder) in (process / "cmdline").read_bytes():
        return True
    return any(os.readlink(link).startswith(f"{folder}/") for link in (process / "fd").iterdir())
