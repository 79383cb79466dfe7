"""Runs from beginning to end: what is refused before anything is made, and how whatever ends one is noted."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError
from ray.tune import TuneError

from raydnn.cli.main import main
from raydnn.errors import ClusterError, InterruptedRunError, StoreError, UsageError, UserCodeError
from raydnn.launch.runs.driver import find_drivers, note_driver
from raydnn.launch.runs.runs import begin, driving, ended_stacks, mark, ray_files
from raydnn.launch.runs.signals import STOPPING, interruptible
from raydnn.search.packing import StackPlan
from raydnn.spec.job import Job
from raydnn.spec.trial import trial_of_job
from raydnn.store.commit import commit_trials
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.storage import files

TRAINING: dict[str, Any] = {
    "name": "job",
    "data": {"name": "digits", "validation_fraction": 0.2},
    "optimizer": {"name": "sgd", "lr": 0.1},
}
SEARCH = {"trials": 2, "space": {"optimizer.lr": "loguniform(1e-3, 1)"}}


@pytest.fixture
def plans() -> list[StackPlan]:
    trials = [(n, trial_of_job(Job.model_validate({**TRAINING, "seed": n}))) for n in range(3)]
    return [StackPlan(0, (trials[0], trials[2])), StackPlan(1, (trials[1],))]


@pytest.fixture
def run(tmp_path: Path, plans: list[StackPlan]) -> Run:
    job = Job.model_validate({**TRAINING, "storage": str(tmp_path), "search": SEARCH})
    return begin(job, "name: job", "r", "sweep", plans)


def states(run: Run) -> dict[str, str]:
    return {row["trial_id"]: row["state"] for row in read(run.location, "trials").to_pylist()}


def end(run: Run, plan: StackPlan, number: int, state: str) -> None:
    kept = read(run.location, "trials").to_pylist()
    of_stack = [row for row in kept if row["number"] in [n for n, _ in plan.trials]]
    changed = [
        {**row, "attempts": None, **({"state": state} if row["number"] == number else {})} for row in of_stack
    ]
    commit_trials(run, plan.number, 1, changed)


def test_a_run_begins_with_all_its_trials_waiting(run: Run) -> None:
    assert states(run) == {"t00000": "PENDING", "t00001": "PENDING", "t00002": "PENDING"}
    resolved = run.resolved()
    assert (resolved["command"], resolved["metric"], resolved["mode"]) == ("sweep", "validation_loss", "min")
    assert {"python", "ray", "torch"} <= resolved["versions"].keys()
    assert resolved["job"]["init"] == {"name": "auto"}
    chosen = {axis: resolved["training"][axis]["name"] for axis in ("init", "loss", "output")}
    assert chosen == {"init": "he_normal", "loss": "cross_entropy", "output": "softmax"}


def test_a_run_that_ended_is_compacted_and_rays_files_are_gone(run: Run, plans: list[StackPlan]) -> None:
    with driving(run, plans):
        files.write_bytes(ray_files(run) / "tuner.pkl", b"x", scratch=ray_files(run))
        assert ended_stacks(run, plans) == set()
        end(run, plans[0], 0, "COMPLETED")
        end(run, plans[0], 2, "STOPPED")
        assert ended_stacks(run, plans) == {0}
        end(run, plans[1], 1, "DIVERGED")
        assert ended_stacks(run, plans) == {0, 1}
    assert states(run) == {"t00000": "COMPLETED", "t00001": "DIVERGED", "t00002": "STOPPED"}
    assert len(list(run.local_path("trials").iterdir())) == 1
    assert not run.local_path(".tmp").exists()


def test_trials_nobody_ended_have_lost_their_process_and_can_be_gone_on_with(
    run: Run, plans: list[StackPlan]
) -> None:
    end(run, plans[0], 0, "COMPLETED")
    with pytest.raises(ClusterError, match=r"trials t00002, t00001: its process died"), driving(run, plans):
        pass
    rows = read(run.location, "trials").to_pylist()
    assert [(row["state"], row["error_type"]) for row in rows] == [
        ("COMPLETED", None),
        ("PREEMPTED", "WorkerDied"),
        ("PREEMPTED", "WorkerDied"),
    ]


@pytest.mark.parametrize(
    ("error", "state", "raised"),
    [
        (KeyboardInterrupt(), "PREEMPTED", InterruptedRunError),
        (StoreError("disk full"), "PREEMPTED", StoreError),
        (ClusterError("node lost"), "PREEMPTED", ClusterError),
        (UserCodeError("net.py:12: ValueError: no"), "FAILED", UserCodeError),
        (RuntimeError("not the user's"), "PREEMPTED", RuntimeError),
        (ActorUnavailableError("the raylet is gone", b"0" * 16), "PREEMPTED", ClusterError),
        (ControllerError(ActorUnavailableError("gone", b"0" * 16)), "PREEMPTED", ClusterError),
        (WorkerGroupError("a worker died", {1: ActorDiedError()}), "PREEMPTED", ClusterError),
        (TuneError("the cluster is gone"), "PREEMPTED", ClusterError),
        (ConnectionResetError("peer"), "PREEMPTED", ClusterError),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/ray/x"), "PREEMPTED", StoreError),
        (PermissionError(errno.EACCES, "Permission denied", "/root/.ray"), "PREEMPTED", StoreError),
    ],
)
def test_what_ends_a_run_decides_whether_it_can_go_on(
    run: Run, plans: list[StackPlan], error: BaseException, state: str, raised: type[BaseException]
) -> None:
    end(run, plans[0], 0, "COMPLETED")
    with pytest.raises(raised), driving(run, plans):
        raise error
    assert states(run) == {"t00000": "COMPLETED", "t00001": state, "t00002": state}
    assert ended_stacks(run, plans) == ({0, 1} if state == "FAILED" else set())


def test_an_error_that_the_training_itself_has_noted_is_told_as_it_is(
    run: Run, plans: list[StackPlan]
) -> None:
    error = ConnectionResetError("the user's own connection")
    mark(run, plans, state="FAILED")
    with pytest.raises(ConnectionResetError), driving(run, plans):
        raise error
    assert set(states(run).values()) == {"FAILED"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_interrupts_only_while_the_run_is_driven(
    run: Run, plans: list[StackPlan], number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(InterruptedRunError), driving(run, plans):
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert set(states(run).values()) == {"PREEMPTED"}


def sent(*numbers: signal.Signals) -> list[str]:
    """Which of some signals, sent to this process one after the other, interrupted it."""
    found = []
    with interruptible():
        for number in numbers:
            try:
                os.kill(os.getpid(), number)
            except KeyboardInterrupt:
                found.append(number.name)
    return found


def test_what_ends_an_interrupted_run_is_not_interrupted_again_unless_by_hand() -> None:
    numbers = (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    assert sent(*numbers) == ["SIGHUP", "SIGINT"]


def test_what_a_process_was_started_to_ignore_stays_ignored_but_for_sigterm() -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPPING}
    try:
        assert sent(signal.SIGINT, signal.SIGHUP, signal.SIGTERM) == ["SIGTERM"]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_an_error_is_not_hidden_by_a_store_that_takes_no_marks(run: Run, plans: list[StackPlan]) -> None:
    run.local_path("trials").rename(run.local_path("away"))
    run.local_path("trials").write_text("in the way")
    with pytest.raises(StoreError, match="the first"), driving(run, plans):
        raise StoreError("the first")


def test_a_run_has_one_driver(run: Run, plans: list[StackPlan]) -> None:
    logs = run.location / "logs"
    waiting = "import sys, time; from raydnn.store.storage.files import locate; "
    waiting += "from raydnn.launch.runs.driver import note_driver; "
    waiting += "note_driver(locate(sys.argv[1])); print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", waiting, logs.uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match=f"still driven by process {other.pid}"), driving(run, plans):
            pass
        assert set(states(run).values()) == {"PENDING"}
        other.kill()
    with driving(run, plans):
        assert [driver.pid for driver in find_drivers(logs)] == [os.getpid()]
        mark(run, plans, state="COMPLETED")
    assert find_drivers(logs) == []
    note_driver(logs)
    with driving(run, plans):
        pass


MISSING = "data={name: csv, path: /nowhere/x.csv, target: y, validation_fraction: 0.2}"
HOPELESS = {
    "missing data": ([MISSING], 5, "/nowhere/x.csv"),
    "splits that cannot be": (["data.validation_fraction=0.0001"], 2, "data.validation_fraction: 0.0001"),
    "too many cores": (["resources.cpus_per_worker=999"], 4, r"999 CPU"),
    "too many workers": (["resources.workers=999"], 4, r"999 worker"),
    "no such GPU": (["resources.gpus_per_worker=1"], 4, r"1 GPU"),
    "storage below a file": (["storage=job.yaml/results"], 5, "job.yaml"),
}


@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize("case", HOPELESS)
def test_what_cannot_work_is_refused_before_anything_is_made_or_started(
    case: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    overrides, code, said = HOPELESS[case]
    if command == "sweep" and case == "too many workers":
        code = 2
        said = (
            "command line: resources.workers: 999, but a sweep trains each stack in one process; allowed: 1"
        )
    if case == "no such GPU" and _has_gpu():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    job = TRAINING if command == "train" else {**TRAINING, "search": SEARCH}
    Path("job.yaml").write_text(json.dumps(job))
    monkeypatch.setattr("raydnn.launch.engine.on_ray.engines.Embedded.running", _must_not_be_called)
    monkeypatch.setattr("raydnn.launch.engine.on_ray.engines.Embedded.train", _must_not_be_called)
    with pytest.raises(SystemExit) as exit_:
        main([command, "job.yaml", *overrides])
    problem = capsys.readouterr().err
    assert (exit_.value.code, said in problem) == (code, True), problem
    assert [line for line in problem.splitlines() if line != "preparing job.yaml ..."] == [
        problem.splitlines()[-1]
    ]
    assert os.listdir() == ["job.yaml"]


def test_a_sweep_is_refused_where_only_some_of_its_trials_do_not_fit_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    space = {"train.augmentation.flip": [0.0, 0.5]}
    data = {**TRAINING["data"], "scaling": "whiten"}  # principal components are no pixels
    job = {**TRAINING, "data": data, "search": {"algorithm": "grid", "space": space}}
    Path("job.yaml").write_text(json.dumps(job))
    with pytest.raises(SystemExit) as exit_:
        main(["sweep", "job.yaml"])
    assert exit_.value.code == 2
    assert "train.augmentation: needs images of height × width" in capsys.readouterr().err
    assert os.listdir() == ["job.yaml"]


def _must_not_be_called(*_: Any, **__: Any) -> None:
    raise AssertionError("too late")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
