"""An embedded Ray whose processes die ends what runs on it, in words."""

from __future__ import annotations

import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from raydnn.errors import ClusterError
from raydnn.launch.engine.session.watching import VITAL, watched
from raydnn.launch.runs.signals import interruptible


@pytest.mark.parametrize("kind", VITAL)
def test_the_death_of_a_process_ends_the_block_with_its_reason(kind: str) -> None:
    process = subprocess.Popen(["sleep", "60"])
    with pytest.raises(ClusterError, match=kind), interruptible(), watched({kind: [ended(process)]}):
        time.sleep(30)


def ended(process: subprocess.Popen[bytes]) -> SimpleNamespace:
    process.send_signal(signal.SIGKILL)
    process.wait()
    return SimpleNamespace(process=process)


def test_other_interrupts_pass_and_living_processes_are_left_alone() -> None:
    process = subprocess.Popen(["sleep", "60"])
    infos = {"raylet": [SimpleNamespace(process=process)]}
    with pytest.raises(KeyboardInterrupt), watched(infos):
        raise KeyboardInterrupt
    with watched(infos):
        time.sleep(1.2)
    assert process.poll() is None
    process.kill()
    process.wait()
