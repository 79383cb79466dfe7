"""The real command line as a process of its own, and the processes it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT_SECONDS = 150.0
POLL_SECONDS = 0.02
LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


class Command:
    """A `raydnn` command on one run, in a process group of its own as a terminal gives it."""

    def __init__(self, run: Path, *arguments: str, limit_bytes: int | None = None) -> None:
        """Start it.

        Args:
            run: The run's folder.
            *arguments: Of `raydnn`.
            limit_bytes: Most bytes of a file that it can write (as on a full disk); None: no limit.
        """
        self.run = run
        limit = f"ulimit -f {limit_bytes // 1024}; " if limit_bytes is not None else ""
        self.process = subprocess.Popen(
            ["bash", "-c", f'{limit}exec "$@"', "bash", sys.executable, "-m", "raydnn", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )

    def wait_until(self, met: Callable[[], object]) -> None:
        """Wait until something is true of the run while the command goes on."""
        end = time.monotonic() + LIMIT_SECONDS
        while not met():
            assert self.process.poll() is None, f"it has ended: {self.end()}"
            assert time.monotonic() < end, f"not met in {LIMIT_SECONDS} s"
            time.sleep(POLL_SECONDS)

    def commits(self, stack: int | None = None) -> int:
        """How many epochs of stacks, or of one stack, are committed and not compacted yet."""
        name = "stack-*" if stack is None else f"stack-{stack:05d}.*"
        return len(list((self.run / "epochs").glob(f"{name}.parquet")))

    def wait_for_commits(self, more: int) -> None:
        """Wait until that many more epochs of stacks are committed."""
        before = self.commits()
        self.wait_until(lambda: self.commits() >= before + more)

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def descendants(self) -> dict[int, str]:
        """Process id → command line, of all processes it has started."""
        return descendants(self.process.pid)

    def listening(self) -> list[str]:
        """The addresses at which it and what it has started can be reached, as the kernel writes them."""
        inodes: set[str] = set()
        for pid in [self.process.pid, *self.descendants()]:
            for link in Path(f"/proc/{pid}/fd").glob("*"):
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(link))
        found = []
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and f"socket:[{fields[9]}]" in inodes:
                    found.append(fields[1].partition(":")[0])
        return found

    def worker(self, name: str) -> int:
        """The id of a process that trains, waited for: `name` is in its title."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [pid for pid, title in self.descendants().items() if title.startswith(name)]
            return bool(found)

        self.wait_until(look)
        return found[0]

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code and what it printed."""
        try:
            output, _ = self.process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.destroy()
            raise
        return self.process.returncode, output

    def destroy(self) -> None:
        """Kill it and all it has started."""
        for pid in [self.process.pid, *self.descendants()]:
            kill(pid)
        self.process.communicate()


def descendants(pid: int) -> dict[int, str]:
    """Process id → command line, of all living processes that descend from a process."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found: dict[int, str] = {}
    generation = {pid}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation}
        found |= {child: _title(child) for child in generation}
    return found


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def kill(pid: int) -> None:
    """SIGKILL; a process that is gone is as good."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def alive(pids: dict[int, str]) -> dict[int, str]:
    """Those of some processes that are still there as they were."""
    return {pid: title for pid, title in pids.items() if title and _title(pid) == title}


@pytest.fixture(scope="module")
def raydnn() -> Iterator[Callable[..., Command]]:
    """Starts a `raydnn` command; what is left of it after the module's tests is killed."""
    commands: list[Command] = []

    def start(run: Path, *arguments: str, limit_bytes: int | None = None) -> Command:
        commands.append(Command(run, *arguments, limit_bytes=limit_bytes))
        return commands[-1]

    yield start
    for command in commands:
        if command.process.poll() is None:
            command.destroy()


@pytest.fixture(scope="session")
def left_over() -> Callable[[dict[int, str]], dict[int, str]]:
    """Which of some processes are still there after they had 10 s to end."""

    def look(pids: dict[int, str]) -> dict[int, str]:
        end = time.monotonic() + 10
        while alive(pids) and time.monotonic() < end:
            time.sleep(0.1)
        return alive(pids)

    return look
