"""The process that drives a run: noted in the run's folder, so that others find it, leave the run to it, or stop it."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import current_thread, main_thread

from raydnn.errors import StoreError
from raydnn.store.storage import files, listing
from raydnn.store.storage.files import Location

_NOTE = re.compile(r"driver(-[0-9a-f]+)?\.json")


@dataclass(frozen=True)
class Driver:
    """A driver as it noted itself down."""

    pid: int
    host: str
    started_at: str
    """UTC, ISO 8601."""
    start_ticks: int
    """Start of the process since boot, in clock ticks: tells it from a later process with its id."""
    machine: str = ""
    """Where its process id means something; empty in notes of earlier versions, where the host says it."""
    note: str = "driver.json"
    """Name of the file with its note."""
    hears_signals: bool = True
    """Whether it drives in its main thread, which alone hears signals."""


def note_driver(logs: Location) -> Driver:
    """Note this process as a driver of a run, in a file of its own.

    Args:
        logs: The run's `logs` folder.

    Raises:
        StoreError: The note cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    note = f"driver-{secrets.token_hex(4)}.json"
    driver = Driver(
        os.getpid(),
        socket.gethostname(),
        now,
        start_ticks(os.getpid()) or 0,
        this_machine(),
        note,
        current_thread() is main_thread(),
    )
    files.make_folder(logs, private=True)
    renew_note(logs, driver)
    return driver


def renew_note(logs: Location, driver: Driver) -> None:
    """Write a driver's note, anew where it is there; its file is as old as the last time.

    Raises:
        StoreError: It cannot be written.
    """
    fields = {name: value for name, value in asdict(driver).items() if name != "note"}
    scratch = logs.parent / ".tmp"
    files.write_bytes(logs / driver.note, json.dumps(fields).encode(), scratch=scratch, private=True)


def find_drivers(logs: Location) -> list[Driver]:
    """The drivers noted in a run's `logs` folder, the latest first; a damaged note is none."""
    names = [entry.name for entry in listing.list_files(logs) if _NOTE.fullmatch(entry.name)]
    found = [driver for name in names if (driver := _read(logs / name)) is not None]
    return sorted(found, key=lambda driver: driver.started_at, reverse=True)


def find_driver(logs: Location) -> Driver | None:
    """The latest of the drivers noted in a run's `logs` folder."""
    return next(iter(find_drivers(logs)), None)


def is_alive(driver: Driver) -> bool | None:
    """Whether the driver still runs; None when it runs, or ran, on another machine."""
    if (driver.machine or driver.host) not in (this_machine(), socket.gethostname()):
        return None
    return driver.pid > 1 and start_ticks(driver.pid) == driver.start_ticks and _may_drive(driver.pid)


def interrupt(driver: Driver) -> None:
    """Stop a driver on this machine as Ctrl-C does: it commits what it has and ends.

    What a script starts in its background ignores Ctrl-C's own signal; SIGTERM does the same there.
    """
    os.kill(driver.pid, signal.SIGTERM if _ignores(driver.pid, signal.SIGINT) else signal.SIGINT)


def _read(note: Location) -> Driver | None:
    try:
        fields = json.loads(files.read_bytes(note))
        return Driver(
            int(fields["pid"]),
            str(fields["host"]),
            str(fields["started_at"]),
            int(fields["start_ticks"]),
            str(fields.get("machine", "")),
            note.name,
            bool(fields.get("hears_signals", True)),
        )
    except (OSError, StoreError, ValueError, KeyError, TypeError):
        return None


def this_machine() -> str:
    """What is the same for all processes that see one another's ids, and for no others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def start_ticks(pid: int) -> int | None:
    """When a process started since boot, in clock ticks; None where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _ignores(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    (ignored,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")]
    return bool(int(ignored, 16) >> (number - 1) & 1)


def _may_drive(pid: int) -> bool:
    """Whether a process can be a driver: the command's, or any of Python's, as a script or a notebook."""
    try:
        python = Path(os.readlink(f"/proc/{pid}/exe")).name.startswith("python")
        return python or b"raydnn" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
