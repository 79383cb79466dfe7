"""One driver a run: claims of processes here, of machines that cannot be seen, and of several that come at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from raydnn.errors import UsageError
from raydnn.launch.runs import lease
from raydnn.launch.runs.driver import Driver, find_drivers, note_driver, renew_note
from raydnn.launch.runs.lease import ask_to_stop, check_not_driven, leased, seems_alive
from raydnn.store.run import Run, create_run
from raydnn.store.storage import files, listing

RACE = """
import signal, sys, time
from raydnn.errors import UsageError
from raydnn.launch.runs import lease
from raydnn.store.storage.files import locate
from raydnn.store.run import run_at
run = run_at(locate(sys.argv[1]))
signal.signal(signal.SIGTERM, signal.default_int_handler)
print("ready", flush=True)
sys.stdin.readline()
try:
    with lease.leased(run):
        print("holds", time.monotonic(), flush=True)
        time.sleep(2.5)
        print("lets go", time.monotonic(), flush=True)
except UsageError as error:
    print("refused:", error, flush=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(
        str(tmp_path), "r", "", {"metric": "validation_loss", "mode": "min", "command": "sweep"}
    )


@pytest.fixture
def elsewhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A claim of a machine that cannot be seen from here."""
    monkeypatch.setattr(lease, "QUIET_SECONDS", 1.5)
    logs = run.location / "logs"
    driver = note_driver(logs)
    path = Path(logs.path, driver.note)
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "another", "host": "node-7"}))
    (found,) = find_drivers(logs)
    return found


@pytest.fixture
def renewing(run: Run, elsewhere: Driver) -> Iterator[None]:
    ended: list[bool] = []

    def renew() -> None:
        while not ended:
            time.sleep(0.3)
            renew_note(run.location / "logs", elsewhere)

    thread = Thread(target=renew)
    thread.start()
    yield
    ended.append(True)
    thread.join()


@pytest.mark.usefixtures("renewing")
def test_a_claim_that_is_renewed_elsewhere_counts(run: Run, elsewhere: Driver) -> None:
    with pytest.raises(UsageError, match=r"still driven by process \d+ on node-7"), leased(run):
        pass
    assert find_drivers(run.location / "logs") == [elsewhere]


def test_a_claim_that_nobody_renews_is_dropped(run: Run, elsewhere: Driver) -> None:
    with leased(run) as held:
        assert find_drivers(run.location / "logs") == [held.driver]


@pytest.mark.usefixtures("renewing")
def test_a_driver_elsewhere_is_asked_by_a_file(run: Run, elsewhere: Driver) -> None:
    assert seems_alive(run, elsewhere)
    assert ask_to_stop(run, elsewhere)
    assert files.exists(run.location / "logs" / f"stop-{elsewhere.note}")


def test_a_driver_elsewhere_that_is_silent_is_not_running(run: Run, elsewhere: Driver) -> None:
    assert not ask_to_stop(run, elsewhere)
    old = time.time() - 3600
    os.utime(run.local_path("logs", elsewhere.note), (old, old))
    assert seems_alive(run, elsewhere) is None


def interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, do: Callable[[Driver], None]) -> bool:
    """Whether a lease is lost by what is done to it, once it has interrupted this process."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with leased(run) as held:
            try:
                do(held.driver)
                time.sleep(10)
            except KeyboardInterrupt:
                return held.lost
        raise AssertionError("nothing has interrupted it")
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_a_request_interrupts_the_driver(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = run.location / "logs"
    assert not interrupted(run, monkeypatch, lambda own: files.write_bytes(logs / f"stop-{own.note}", b""))
    assert listing.list_files(logs) == []


def test_a_driver_whose_claim_was_removed_lets_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert interrupted(run, monkeypatch, lambda own: files.remove(run.location / "logs" / own.note))


def test_a_claim_is_renewed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    with leased(run) as held:
        note = [run.location / "logs" / held.driver.note]
        first = listing.modified_ns(note)
        end = time.monotonic() + 5
        while listing.modified_ns(note) == first:
            assert time.monotonic() < end
            time.sleep(0.05)
        check_not_driven(run)  # it is this process's own


def test_a_run_on_an_object_store_has_one_driver_too(
    object_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    run = Run(object_store.location / "r", "r", "validation_loss", "min")
    with leased(run):
        # Another process, which sees this one's claim.
        monkeypatch.setattr(lease, "_is_mine", lambda _driver: False)
        monkeypatch.setattr(lease, "is_alive", lambda _driver: True)
        with pytest.raises(UsageError, match="still driven"):
            check_not_driven(run)
    assert find_drivers(run.location / "logs") == []


def test_of_several_that_come_at_a_time_never_two_drive(run: Run) -> None:
    command = [sys.executable, "-c", RACE, run.uri]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[0].splitlines() for racer in racers]
    spans = sorted(
        (float(s[0].split()[1]), float(s[1].split()[-1])) for s in said if s[0].startswith("holds")
    )
    assert spans, said
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans)), said
    assert len([s for s in said if s[0].startswith("refused")]) == 4 - len(spans)
