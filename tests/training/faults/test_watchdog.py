"""A training that hangs is found, and where it hung is written down; one that is only slow goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.errors import HungError
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.faults import watchdog
from raydnn.training.session import run_stack
from raydnn.training.verdict import Judge
from raydnn.training.workers import Workers

HEAD = """import time
from torch.nn.functional import cross_entropy

CALLS = 0


def loss(outputs, targets):
    global CALLS
    CALLS += 1
    {pause}
    return cross_entropy(outputs, targets, reduction="none")
"""
LINE = 1 + HEAD.splitlines().index("    {pause}")
EPOCH = 8 + 1
"""Calls an epoch: its steps, and one for the evaluation."""

Make = Callable[..., TrialSpec]
NewRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(watchdog, "NOTE_SECONDS", 0.2)


@pytest.fixture
def pausing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_trial: Make, request: pytest.FixtureRequest
) -> Callable[[str], TrialSpec]:
    """A trial whose loss pauses by some code."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"pausing_{abs(hash(request.node.nodeid)):x}"

    def make(pause: str) -> TrialSpec:
        (tmp_path / f"{name}.py").write_text(HEAD.format(pause=pause))
        return make_trial(loss={"name": "function", "path": f"{name}:loss"})

    return make


def _train(run: Run, trial: TrialSpec, timeout_seconds: float, judge: Judge = lambda *_: {}) -> None:
    run_stack(
        run,
        StackPlan(0, ((0, trial),)),
        scheduler="none",
        judge=judge,
        workers=Workers(),
        device=torch.device("cpu"),
        timeout_seconds=timeout_seconds,
    )


def _rows(run: Run, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read(run.location, table).to_pylist()
    return rows


def test_a_hang_is_found_and_the_training_goes_on(
    pausing: Callable[[str], TrialSpec], new_run: NewRun
) -> None:
    run, trial = new_run(), pausing(f"CALLS == {EPOCH + 3} and time.sleep(1000)")
    began = time.monotonic()
    with pytest.raises(HungError, match=r"no step for 1 s .* logs/t00000\.stacks\.txt"):
        _train(run, trial, 1.0)
    assert time.monotonic() - began < 1 + 10
    assert [row["state"] for row in _rows(run, "trials")] == ["RUNNING"]
    stacks = run.local_path("logs", "t00000.stacks.txt").read_text()
    assert f'{trial.loss.path.partition(":")[0]}.py", line {LINE}, in loss' in stacks  # type: ignore[union-attr]
    assert "no step for" in run.local_path("logs", "t00000.log").read_text()
    (event,) = _rows(run, "events")
    assert event["kind"] == "hung"
    detail = json.loads(event["detail"])
    assert (detail["stack"], detail["attempt"], detail["stacks"]) == (0, 1, "logs/t00000.stacks.txt")
    assert detail["seconds"] >= 1
    _train(run, trial, 1.0)
    assert [(row["epoch"], row["attempt"]) for row in _rows(run, "epochs")] == [(1, 1), (2, 2), (3, 2)]
    assert [row["state"] for row in _rows(run, "trials")] == ["COMPLETED"]


@pytest.mark.parametrize(
    "pause",
    [
        "time.sleep(0.5 if CALLS < 5 else 0)",  # the usual silence of this training is longer than the timeout
        "CALLS == 1 and time.sleep(1)",  # the first step takes longer
        f"CALLS == {EPOCH + 3} and exec('time.sleep(1)', {{'__name__': 'bdb', 'time': time}})",  # somebody debugs
    ],
)
def test_what_is_only_slow_goes_on(pausing: Callable[[str], TrialSpec], new_run: NewRun, pause: str) -> None:
    run = new_run()
    _train(run, pausing(pause), 0.4)
    assert len(_rows(run, "epochs")) == 3
    assert not _rows(run, "events")


def test_waiting_for_a_verdict_is_no_hang(make_trial: Make, new_run: NewRun) -> None:
    def slow(*_: Any) -> dict[int, Any]:
        time.sleep(0.5)
        return {}

    run = new_run()
    _train(run, make_trial(), 0.2, slow)
    assert len(_rows(run, "epochs")) == 3
    assert not list(run.local_path("logs").iterdir())


def test_a_process_that_was_stopped_has_not_hung(
    pausing: Callable[[str], TrialSpec], new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Ctrl-Z and `fg`: the clock has gone on while nobody could look at it."""
    run, trial = new_run(), pausing(f"time.sleep(0.1 if CALLS == {EPOCH + 3} else 0)")
    looks = []

    def clock() -> float:
        looks.append(time.monotonic())
        return looks[-1] + (1000 if len(looks) > 5 else 0)

    monkeypatch.setattr(watchdog, "monotonic", clock)
    _train(run, trial, 10)
    assert len(looks) > 5
    assert len(_rows(run, "epochs")) == 3
    assert not _rows(run, "events")


def test_the_process_of_a_worker_ends(
    pausing: Callable[[str], TrialSpec], new_run: NewRun, tmp_path: Path
) -> None:
    """There a thread trains, as in Ray's workers, and whoever started the process starts it again."""
    run, trial = new_run(), pausing("CALLS == 3 and time.sleep(1000)")
    (tmp_path / "trial.json").write_text(trial.config_json)
    code = f"""
import sys, threading, torch
from pathlib import Path
sys.path.insert(0, {str(tmp_path)!r})
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.storage.files import locate
from raydnn.store.run import run_at
from raydnn.training.session import run_stack
from raydnn.training.workers import Workers
trial = TrialSpec.from_json(Path({str(tmp_path / "trial.json")!r}).read_text())
def work():
    run_stack(run_at(locate({run.uri!r})), StackPlan(0, ((0, trial),)), scheduler="none", judge=lambda *_: {{}},
              workers=Workers(), device=torch.device("cpu"), timeout_seconds=1.0)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("trained")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert [row["kind"] for row in _rows(run, "events")] == ["hung"]
    stacks = run.local_path("logs", "t00000.stacks.txt").read_text()
    assert stacks.index(", which trains") < stacks.index("in work") < stacks.index("in join")
