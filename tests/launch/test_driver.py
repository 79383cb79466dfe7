"""The noted driver of a local run: found, told from others, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raydnn.errors import UsageError
from raydnn.launch.driver import FILE, find_driver, interrupt, is_alive

DRIVER = """
import signal, sys, time
from pathlib import Path
from raydnn.launch.driver import note_driver
note_driver(Path(sys.argv[1]))
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
print("noted", flush=True)
time.sleep(60)
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"noted\n"
        yield process
        process.kill()


def test_interrupts_the_driver_once(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    found = find_driver(tmp_path)
    assert found is not None
    assert found.pid == driver.pid
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert is_alive(found)
    assert interrupt(found)
    assert driver.wait(10) == 7
    assert is_alive(found) is False
    assert interrupt(found) is False


def test_a_later_process_with_its_id_is_left_alone(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    fields = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**fields, "start_ticks": fields["start_ticks"] - 1}))
    found = find_driver(tmp_path)
    assert found is not None
    assert interrupt(found) is False
    assert driver.poll() is None


def test_another_machine_is_named(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    fields = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**fields, "host": "node-7"}))
    found = find_driver(tmp_path)
    assert found is not None
    assert is_alive(found) is None
    with pytest.raises(UsageError, match="node-7"):
        interrupt(found)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x"}'])
def test_a_damaged_note_is_no_driver(tmp_path: Path, text: str) -> None:
    assert find_driver(tmp_path) is None
    (tmp_path / FILE).write_text(text)
    assert find_driver(tmp_path) is None


def test_a_process_that_is_not_raydnn_is_left_alone(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        ticks = int(Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19])
        note = {"pid": sleeper.pid, "host": os.uname().nodename, "started_at": "", "start_ticks": ticks}
        (tmp_path / FILE).write_text(json.dumps(note))
        found = find_driver(tmp_path)
        assert found is not None
        assert interrupt(found) is False
        assert sleeper.poll() is None
    finally:
        sleeper.send_signal(signal.SIGKILL)
        sleeper.wait()
