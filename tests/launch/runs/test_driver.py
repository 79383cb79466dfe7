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

from raydnn.launch.runs.driver import find_driver, interrupt, is_alive
from raydnn.store.storage.files import locate

DRIVER = """
import signal, sys, time
from raydnn.launch.runs.driver import note_driver
from raydnn.store.storage.files import locate
note_driver(locate(sys.argv[1]))
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


def note(folder: Path) -> Path:
    (found,) = folder.glob("driver*.json")
    return found


def test_interrupts_the_driver(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    found = find_driver(locate(tmp_path))
    assert found is not None
    assert found.pid == driver.pid
    assert note(tmp_path).stat().st_mode & 0o777 == 0o600
    assert is_alive(found)
    interrupt(found)
    assert driver.wait(10) == 7
    assert is_alive(found) is False


BACKGROUND = """
import signal, sys, time
from raydnn.launch.runs.driver import note_driver
from raydnn.launch.runs.signals import interruptible
from raydnn.store.storage.files import locate
try:
    with interruptible():
        note_driver(locate(sys.argv[1]))
        print("noted", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize("start", ['"$@" & wait $!', 'nohup "$@" & wait $!', '"$@"'])
def test_stops_also_what_a_script_has_started_in_its_background(tmp_path: Path, start: str) -> None:
    command = ["sh", "-c", start, "sh", sys.executable, "-c", BACKGROUND, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"noted\n"
        found = find_driver(locate(tmp_path))
        assert found is not None
        interrupt(found)
        assert shell.wait(10) == 7


def test_a_later_process_with_its_id_is_another(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    fields = json.loads(note(tmp_path).read_text())
    note(tmp_path).write_text(json.dumps({**fields, "start_ticks": fields["start_ticks"] - 1}))
    found = find_driver(locate(tmp_path))
    assert found is not None
    assert is_alive(found) is False
    assert driver.poll() is None


@pytest.mark.parametrize("changed", [{"machine": "another"}, {"machine": "", "host": "node-7"}])
def test_a_process_of_another_machine_cannot_be_seen(
    driver: subprocess.Popen[bytes], tmp_path: Path, changed: dict[str, str]
) -> None:
    fields = json.loads(note(tmp_path).read_text())
    note(tmp_path).write_text(json.dumps(fields | changed))
    found = find_driver(locate(tmp_path))
    assert found is not None
    assert found.pid == driver.pid
    assert is_alive(found) is None


def test_a_note_of_an_earlier_version_is_found(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    fields = json.loads(note(tmp_path).read_text())
    del fields["machine"]
    note(tmp_path).rename(tmp_path / "driver.json").write_text(json.dumps(fields))
    found = find_driver(locate(tmp_path))
    assert found is not None
    assert (found.pid, is_alive(found)) == (driver.pid, True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x"}'])
def test_a_damaged_note_is_no_driver(tmp_path: Path, text: str) -> None:
    assert find_driver(locate(tmp_path)) is None
    (tmp_path / "driver-0a.json").write_text(text)
    assert find_driver(locate(tmp_path)) is None


def test_a_process_that_is_not_raydnn_is_no_driver(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        ticks = int(Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19])
        fields = {"pid": sleeper.pid, "host": os.uname().nodename, "started_at": "", "start_ticks": ticks}
        (tmp_path / "driver.json").write_text(json.dumps(fields))
        found = find_driver(locate(tmp_path))
        assert found is not None
        assert is_alive(found) is False
    finally:
        sleeper.send_signal(signal.SIGKILL)
        sleeper.wait()
