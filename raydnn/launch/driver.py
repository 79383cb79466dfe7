"""The process that drives a run here: noted in the run's folder, so that another command can stop it."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from raydnn.errors import UsageError
from raydnn.store import files
from raydnn.store.files import locate

FILE = "driver.json"


@dataclass(frozen=True)
class Driver:
    """A driver as it noted itself down."""

    pid: int
    host: str
    started_at: str
    """UTC, ISO 8601."""
    start_ticks: int
    """Start of the process since boot, in clock ticks: tells it from a later process with its id."""


def note_driver(logs: Path) -> None:
    """Note this process as the driver of a run.

    Args:
        logs: The run's `logs` folder.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    driver = Driver(os.getpid(), socket.gethostname(), now, _start_ticks(os.getpid()) or 0)
    scratch = locate(logs.parent / ".tmp")
    files.write_bytes(locate(logs / FILE), json.dumps(asdict(driver)).encode(), scratch=scratch, private=True)


def find_driver(logs: Path) -> Driver | None:
    """Return the driver noted in a run's `logs` folder, if there is one."""
    try:
        fields = json.loads((logs / FILE).read_bytes())
        return Driver(
            int(fields["pid"]), str(fields["host"]), str(fields["started_at"]), int(fields["start_ticks"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_alive(driver: Driver) -> bool | None:
    """Whether the driver still runs; None when it runs, or ran, on another machine."""
    if driver.host != socket.gethostname():
        return None
    return driver.pid > 1 and _start_ticks(driver.pid) == driver.start_ticks and _is_raydnn(driver.pid)


def interrupt(driver: Driver) -> bool:
    """Stop the driver as Ctrl-C does: it commits what it has and ends.

    Returns:
        Whether it was running.

    Raises:
        UsageError: It runs on another machine.
    """
    alive = is_alive(driver)
    if alive is None:
        raise UsageError(
            f"the run was started on {driver.host}; stop it there (process {driver.pid}), "
            "or give the --address of its cluster"
        )
    if alive:
        os.kill(driver.pid, signal.SIGINT)
    return alive


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _is_raydnn(pid: int) -> bool:
    try:
        return b"raydnn" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
