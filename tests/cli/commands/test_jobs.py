"""`raydnn status`, `logs` and `stop` of runs on this machine; those on clusters are in tests/launch."""

from __future__ import annotations

import json
import math
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raydnn.cli.printing.wrecks import best_of, what_went_wrong
from raydnn.errors import RaydnnError
from raydnn.launch.cluster.locate import RunLocation
from raydnn.launch.cluster.submissions import Submission, remember
from raydnn.shell import command
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_epochs, commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run

Cli = Callable[..., Any]
SPEC = TrialSpec(data=Digits(), optimizer=Sgd(lr=0.1))

DRIVER = """
import sys, time
from pathlib import Path
from raydnn.launch.runs.driver import note_driver
from raydnn.store.storage.files import locate
logs = Path(sys.argv[1])
note_driver(locate(logs))
print("noted", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    with (logs / "stack-00000.log").open("a") as log:
        log.write("t00001 last words")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def run() -> Run:
    resolved = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": {"name": "x"}}
    run = create_run("results", "x-20260101-120000-abcd", "", resolved)
    logs = run.local_path("logs")
    (logs / "stack-00000.log").write_text("t00000 begins\nt00001 begins\n")
    (logs / "t00001.traceback").write_text("Traceback: line 1\n")
    _commit(run, "RUNNING")
    return run


@pytest.fixture
def driver(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", DRIVER, str(run.local_path("logs"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"noted\n"
        yield process
        process.kill()


def _commit(run: Run, state: str) -> None:
    failed = {"state": "FAILED", "error_type": "ValueError", "error": "boom"}
    rows = [
        trial_row(run, "t00000", 0, SPEC, state=state),
        trial_row(run, "t00001", 1, SPEC, **failed, traceback_path="logs/t00001.traceback"),
        trial_row(run, "t00002", 2, SPEC, **failed, traceback_path="../../../../etc/passwd"),
    ]
    commit_trials(run, 0, 1, rows)


def test_a_running_run_is_followed_and_stopped(cli: Cli, run: Run, driver: subprocess.Popen[bytes]) -> None:
    assert json.loads(cli("status", run.run_id, "-o", "json").out)["state"] == "RUNNING"
    assert json.loads(cli("status", "-o", "json").out)[0]["state"] == "RUNNING"
    stopped = cli("stop", "latest")
    assert (stopped.code, stopped.out) == (0, "")
    assert f"asked {run.run_id} to stop" in stopped.err
    followed = cli("logs", run.run_id, "-f").out.splitlines()
    assert followed == [
        "stack-00000: t00000 begins",
        "stack-00000: t00001 begins",
        "stack-00000: t00001 last words",
    ]
    driver.wait(10)
    assert f"{run.run_id} is not running" in cli("stop", run.run_id).err


def test_a_run_whose_driver_was_killed_says_so_and_how_to_go_on(
    cli: Cli, run: Run, driver: subprocess.Popen[bytes]
) -> None:
    driver.kill()
    driver.wait(10)
    shown = cli("status", run.run_id)
    assert "KILLED" in shown.out
    assert f"the process that drove it ({driver.pid} on {socket.gethostname()}) is dead\n" in shown.err
    assert f"resume with: raydnn sweep --resume {run.uri}\n" in shown.err
    _commit(run, "PREEMPTED")
    shown = cli("status", run.run_id)
    assert "INTERRUPTED" in shown.out
    assert "dead" not in shown.err
    assert f"resume with: raydnn sweep --resume {run.uri}\n" in shown.err


def test_a_run_without_a_driver(cli: Cli, run: Run) -> None:
    shown = json.loads(cli("status", run.run_id, "-o", "json").out)
    assert (shown["run_id"], shown["state"], shown["trials"]) == (run.run_id, "UNKNOWN", 3)
    _commit(run, "PENDING")
    assert json.loads(cli("status", run.run_id, "-o", "json").out)["state"] == "PENDING"
    _commit(run, "FAILED")
    shown = cli("status", run.run_id)
    assert re.search(r"^state +FAILED$", shown.out, re.MULTILINE)
    assert f"raydnn logs {run.uri} --errors" in shown.err
    _commit(run, "COMPLETED")
    (row,) = json.loads(cli("status", "-o", "json").out)
    assert (row["run_id"], row["state"], row["completed"], row["failed"]) == (run.run_id, "FINISHED", 1, 2)


def test_logs_of_a_trial_and_errors(cli: Cli, run: Run) -> None:
    assert cli("logs", "latest", "--trial", "t00000").out == "stack-00000: t00000 begins\n"
    errors = cli("logs", "latest", "--errors").out.splitlines()
    assert errors == [
        "t00001 FAILED: ValueError: boom",
        "Traceback: line 1",
        "t00002 FAILED: ValueError: boom",
    ]
    assert cli("logs", "latest", "--errors", "--trial", "t00002").out.splitlines() == errors[2:]


def test_errors_tell_why_trials_diverged(cli: Cli, run: Run) -> None:
    diverged = {"state": "DIVERGED", "stop_reason": "train_loss is not finite"}
    commit_trials(run, 1, 1, [trial_row(run, "t00003", 3, SPEC, **diverged)])
    for epoch, loss in ((1, 0.5), (2, math.nan)):
        row = {"trial_id": "t00003", "epoch": epoch, "train_loss": loss, "lr": 1e3}
        commit_epochs(run, 1, 1, [row])
    assert cli("logs", "latest", "--errors", "--trial", "t00003").out.splitlines() == [
        "t00003 DIVERGED: train_loss is not finite",
        "  epoch 1: train_loss 0.5, lr 1000",
        "  epoch 2: train_loss nan, lr 1000",
    ]
    nothing = cli("logs", "latest", "--errors", "--trial", "t00000")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "t00000 did not fail\n")


def test_a_sweep_tells_what_went_wrong(run: Run) -> None:
    commit_trials(run, 1, 1, [trial_row(run, "t00003", 3, SPEC, state="DIVERGED", stop_reason="loss 1e9")])
    assert what_went_wrong(run) == (
        "2 failed: first t00001, ValueError: boom\n"
        "1 diverged: t00003, loss 1e9\n"
        f"what went wrong, and why: {command('logs', run.uri, '--errors')}\n"
        f"once that is mended: {command('sweep', '--resume', run.uri, '--retry-failed')}\n"
    )


def test_a_sweep_none_of_whose_trials_came_to_an_end_is_an_error_that_tells_why(run: Run) -> None:
    with pytest.raises(
        RaydnnError, match=f"^no trial of {run.run_id} came to an end\n2 failed: first t00001"
    ):
        best_of(run, 1)
    commit_trials(run, 1, 1, [trial_row(run, "t00003", 3, SPEC, state="COMPLETED", best_value=0.5)])
    assert best_of(run, 1)["trial_id"].to_pylist() == ["t00003"]


def test_printed_commands_find_the_run_from_any_folder(
    cli: Cli, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: subprocess.Popen[bytes]
) -> None:
    told = cli("status", run.run_id).err.splitlines()
    assert told == [
        f"next: {command('logs', run.uri, '-f')}",
        f"to end it: {command('stop', run.uri)}",
    ]
    monkeypatch.chdir(tmp_path)
    for line in reversed(told):  # what is ended is followed to its end
        words = shlex.split(line.partition(": ")[2])
        assert cli(*words[1:]).code == 0
    driver.wait(10)


def test_a_cluster_that_this_machine_does_not_remember_is_named(run: Run) -> None:
    assert RunLocation(run.run_id, run, None).words == [run.uri]
    assert RunLocation("y-1", None, "http://h:1").words == ["y-1", "--address", "http://h:1"]
    remember(Submission("y-1", "http://h:1", "sweep", "results", ""))
    assert RunLocation("y-1", None, "http://h:1").words == ["y-1"]


def test_unknown_runs_and_trials_name_the_nearest(cli: Cli, run: Run) -> None:
    for name in ("status", "logs", "stop"):
        missed = cli(name, "x-20260101-120000-abce")
        assert (missed.code, missed.out) == (3, "")
        assert f"Did you mean '{run.run_id}'?" in missed.err
    missed = cli("logs", run.run_id, "--trial", "t00009")
    assert missed.code == 3
    assert "t00000 to t00002" in missed.err


def test_a_cluster_that_is_gone(cli: Cli, run: Run) -> None:
    for run_id in (run.run_id, "y-1"):
        remember(Submission(run_id, "http://127.0.0.1:9", "sweep", str(Path("results").resolve()), ""))
    shown = cli("status", run.run_id, "-o", "json")
    assert shown.code == 0
    assert "http://127.0.0.1:9 does not answer" in shown.err
    assert json.loads(shown.out)["trials"] == 3
    assert cli("status", run.run_id, "--address", "127.0.0.1:9").code == 4
    assert [cli(command, "y-1").code for command in ("status", "logs", "stop")] == [4, 4, 4]


def test_a_run_whose_folder_is_where_it_was_submitted_to(
    cli: Cli, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(Submission(run.run_id, "http://127.0.0.1:9", "sweep", str(Path("results").resolve()), ""))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli("logs", run.run_id, "--errors").out.startswith("t00001 FAILED")


def test_no_runs_at_all(cli: Cli) -> None:
    shown = cli("status", "-o", "csv")
    assert (shown.code, shown.out.split(",")[:2]) == (0, ["run_id", "state"])
    assert shown.out.count("\n") == 1
    assert "no run in 'results'" in shown.err
