"""The command line as a function, for the tests of its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import pytest

from raydnn.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


def _processor_seconds(command: Sequence[str]) -> float:
    """What a command takes of the processor."""
    before = os.times()
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


@pytest.fixture
def is_quick() -> Callable[[Sequence[str], float, str, float], bool]:
    """Whether a command takes less than some seconds; on a slow machine, than so many times what imports take there.

    Processor time, and the least of several tries, so that a busy machine does not decide.
    """

    def quick(command: Sequence[str], seconds: float, imports: str, ratio: float) -> bool:
        libraries = [sys.executable, "-c", f"import {imports}"]
        least, bare = inf, inf
        for _ in range(8):
            least = min(least, _processor_seconds(command))
            if least < seconds:
                return True
            bare = min(bare, _processor_seconds(libraries))
        return least < ratio * bare

    return quick


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `raydnn ARGUMENTS` in this process and return its exit code and what it printed."""

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
        captured = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return Outcome(exit_info.value.code, captured.out, captured.err)

    return call
