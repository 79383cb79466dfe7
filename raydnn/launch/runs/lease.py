"""One driver a run, across machines and object stores: the note of a driver is a claim that it renews.

Who wants to drive a run writes its claim and then looks for others: it drives where it sees none, and withdraws
where it sees one. Of any two at least one sees the other, for a listing holds all that was written before it; so
both may withdraw, and try again, but never both drive. A claim counts while its process lives, where that can be
seen from here, and elsewhere while it is renewed. (Lamport 1974, A new solution of Dijkstra's concurrent
programming problem, CACM 17, has the order of writing and looking.)
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread, get_ident

from raydnn.errors import StoreError, UsageError
from raydnn.launch.runs.driver import Driver, find_drivers, interrupt, is_alive, note_driver, renew_note
from raydnn.launch.runs.signals import interrupt_thread
from raydnn.shell import command
from raydnn.store.run import Run
from raydnn.store.storage import files, listing
from raydnn.store.storage.files import Location

RENEW_SECONDS = 3.0
QUIET_SECONDS = 15.0
"""A claim that is not renewed for so long, while somebody looks on, is a dead process's."""
RECENT_SECONDS = 60.0
"""A claim as young as this by the clocks is told to be alive without looking on."""
_TRIES = 5


@dataclass
class Lease:
    """The right to drive a run, while it is kept."""

    run: Run
    driver: Driver
    lost: bool = False
    """Whether another process has taken the run over, since this one was silent for too long."""


@contextmanager
def leased(run: Run) -> Iterator[Lease]:
    """Be the only process that drives a run while this block runs; it is interrupted where it is asked to stop.

    Raises:
        UsageError: Another process drives it.
        StoreError: The claim cannot be written.
    """
    logs = run.location / "logs"
    lease = Lease(run, _claim(run, logs))
    over = Event()
    keeper = Thread(target=_keep, args=(lease, logs, over.wait, get_ident()), daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        over.set()
        keeper.join()
        with suppress(StoreError):
            files.remove(_request(logs, lease.driver))
            files.remove(logs / lease.driver.note)


def check_not_driven(run: Run) -> None:
    """Refuse a run that another process drives; claims of dead processes are removed.

    Raises:
        UsageError: One does.
    """
    logs = run.location / "logs"
    for driver in find_drivers(logs):
        if _is_mine(driver):
            continue
        if _lives(logs, driver):
            raise UsageError(
                f"run {run.run_id} is still driven by process {driver.pid} on {driver.host}; "
                f"`{command('stop', run.uri)}` ends it"
            )
        files.remove(logs / driver.note)


def ask_to_stop(run: Run, driver: Driver) -> bool:
    """Stop a run's driver as Ctrl-C does, wherever it is.

    Returns:
        Whether it was running.
    """
    logs = run.location / "logs"
    alive = is_alive(driver)
    if alive and driver.hears_signals:
        interrupt(driver)
    elif alive or (alive is None and _lives(logs, driver)):
        files.write_bytes(_request(logs, driver), b"", scratch=run.scratch)
        return True
    return bool(alive)


def seems_alive(run: Run, driver: Driver) -> bool | None:
    """Whether a driver lives, without waiting; None where it is on another machine and has long been silent."""
    alive = is_alive(driver)
    if alive is not None:
        return alive
    (written_ns,) = listing.modified_ns([run.location / "logs" / driver.note])
    recent = written_ns is not None and abs(time.time() - written_ns / 1e9) < RECENT_SECONDS
    return True if recent else None


def _claim(run: Run, logs: Location) -> Driver:
    for _ in range(_TRIES):
        check_not_driven(run)
        mine = note_driver(logs)
        if all(_is_mine(other) for other in find_drivers(logs)):
            return mine
        files.remove(logs / mine.note)
        time.sleep(random.uniform(0.1, 1.0))  # who came at the same time shall not come so again
    raise UsageError(
        f"run {run.run_id}: other processes want to drive it, too; try again when they have ended"
    )


def _keep(lease: Lease, logs: Location, over: Callable[[float], bool], thread: int) -> None:
    """Renew a lease until it is over, and interrupt the thread that drives where it is lost or asked to stop."""
    request = _request(logs, lease.driver)
    while not over(RENEW_SECONDS):
        # A storage that does not answer for a moment does not end a training: its own writes do, where need be.
        with suppress(StoreError):
            lease.lost = not files.exists(logs / lease.driver.note)
            if lease.lost or files.exists(request):
                interrupt_thread(thread)
                return
            renew_note(logs, lease.driver)


def _lives(logs: Location, driver: Driver) -> bool:
    """Whether a claim's process lives; where that cannot be seen, whether the claim is renewed while this looks on."""
    alive = is_alive(driver)
    if alive is not None:
        return alive
    end = time.monotonic() + QUIET_SECONDS
    before = listing.modified_ns([logs / driver.note])
    while time.monotonic() < end:
        time.sleep(0.5)
        now = listing.modified_ns([logs / driver.note])
        if now != before:
            return now != [None]
    return False


def _is_mine(driver: Driver) -> bool:
    return driver.pid == os.getpid() and is_alive(driver) is not None


def _request(logs: Location, driver: Driver) -> Location:
    """The file that asks a driver to stop."""
    return logs / f"stop-{driver.note}"
