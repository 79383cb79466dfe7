"""Trainings and sweeps that are submitted to a real Ray head, from `raydnn submit` to rows in the storage."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

import raydnn
from raydnn.cli.main import main
from raydnn.launch.cluster.address import connect
from raydnn.launch.cluster.job_client import job_state, open_client

pytestmark = pytest.mark.ray

JOB = """\
name: digits
data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [16]}
optimizer: {name: adam, lr: 0.01}
train: {epochs: 2, batch_size: 64}
"""
SWEEP = """\
extends: job.yaml
name: digits-sweep
search:
  scheduler: {name: asha, min_epochs: 1, max_epochs: 2, eta: 2}
  trials: 4
  space: {optimizer.lr: 'loguniform(1e-4, 1e-1)'}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a training and a sweep over it."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "job.yaml").write_text(JOB)
    (work / "sweep.yaml").write_text(SWEEP)
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return work


def test_a_training_runs_in_one_worker_of_ray_train(
    head: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, run_id, told = _call(capsys, "submit", "job.yaml", "seed=3", "--address", head)
    assert code == 0, told
    assert [f"epoch {epoch}" in told for epoch in (1, 2, 3)] == [True, True, False]
    assert told.endswith(f"{run_id} SUCCEEDED\n")
    (trial,) = raydnn.load(folder / "results").to_pylist()
    assert (trial["run_id"], trial["state"], trial["seed"], trial["workers"]) == (run_id, "COMPLETED", 3, 1)
    assert trial["m_test_accuracy"] > 0.5
    epochs = raydnn.load(folder / "results", "epochs")
    assert epochs["epoch"].to_pylist() == [1, 2]
    assert set(epochs["run_id"].to_pylist()) == {run_id}
    assert _actors(head, run_id).count("RayTrainWorker") == 1
    assert _status(capsys, run_id)["state"] == "SUCCEEDED"


def test_a_sweep_is_ranked_and_stored(head: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, run_id, told = _call(capsys, "submit", "sweep.yaml", "--address", head)
    assert code == 0, told
    trials = raydnn.load(folder / "results" / run_id).to_pylist()
    assert [trial["trial_id"] for trial in trials] == [f"t{number:05d}" for number in range(4)]
    assert {trial["state"] for trial in trials} <= {"COMPLETED", "STOPPED"}
    epochs = raydnn.load(folder / "results" / run_id, "epochs").to_pylist()
    keys = [(row["trial_id"], row["epoch"]) for row in epochs]
    assert len(set(keys)) == len(keys) == sum(trial["epochs"] for trial in trials)
    best = min(trials, key=lambda trial: float(trial["best_value"]))
    code, out, _ = _call(capsys, "results", "top", run_id, "-n", "1", "-o", "json")
    assert (code, json.loads(out)[0]["trial_id"]) == (0, best["trial_id"])


def test_the_code_of_a_failed_run_is_passed_on(
    head: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = "data={name: npz, path: /nowhere/data.npz}"
    code, run_id, told = _call(capsys, "submit", "job.yaml", missing, "--address", head)
    assert code == 5
    assert "data.path: /nowhere/data.npz: there is no such file" in told
    assert f"{run_id} FAILED" in told
    assert not (folder / "results").exists()
    assert "/nowhere/data.npz: there is no such file" in _call(capsys, "logs", run_id)[1]
    assert _status(capsys, run_id)["exit_code"] == 5


def test_a_stopped_training_is_preempted_and_goes_on_from_its_checkpoint(
    head: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = ("train.batch_size=2", "train.epochs=20", "optimizer.lr=0.001")
    code, run_id, _ = _call(capsys, "submit", "job.yaml", *slow, "--no-wait", "--address", head)
    assert code == 0
    run = folder / "results" / run_id
    deadline = time.monotonic() + 90
    while len(list(run.glob("checkpoints/*/*"))) == 0 or len(list(run.glob("epochs/*.parquet"))) < 2:
        assert time.monotonic() < deadline, _call(capsys, "logs", run_id)
        time.sleep(0.2)
    assert _status(capsys, run_id)["state"] == "RUNNING"
    assert _call(capsys, "stop", run_id)[0] == 0
    cluster = connect(head, unauthenticated=False)
    while not job_state(cluster, run_id).finished:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    shown = _status(capsys, run_id)
    assert (shown["state"], shown["preempted"]) == ("STOPPED", 1)
    log = _call(capsys, "logs", run_id)[1]
    assert "epoch 1 ·" in log
    assert f"raydnn train --resume {run}" in log
    assert "SIGTERM" not in log
    committed = raydnn.load(run, "epochs").num_rows
    assert 2 <= committed < 20
    assert raydnn.load(run)["state"].to_pylist() == ["PREEMPTED"]

    command = [sys.executable, "-m", "raydnn", "train", "--resume", str(run)]
    subprocess.run(command, timeout=120, check=True, capture_output=True)
    assert raydnn.load(run)["state"].to_pylist() == ["COMPLETED"]
    epochs = raydnn.load(run, "epochs")
    assert epochs["epoch"].to_pylist() == list(range(1, 21))
    assert epochs["attempt"].to_pylist()[:committed].count(1) >= committed - 1


def _call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process: its exit code, its output without the last line end, its messages."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    captured = capsys.readouterr()
    assert isinstance(exit_info.value.code, int)
    return exit_info.value.code, captured.out.rstrip("\n"), captured.err


def _status(capsys: pytest.CaptureFixture[str], run_id: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(_call(capsys, "status", run_id, "-o", "json")[1])
    return fields


def _actors(head: str, run_id: str) -> list[str]:
    """The classes of the actors that a run has started."""
    cluster = connect(head, unauthenticated=False)
    driver = open_client(cluster).get_job_info(run_id).driver_info.id
    request = Request(
        f"{head}/api/v0/actors?limit=1000", headers={"Authorization": f"Bearer {cluster.token}"}
    )
    with urlopen(request, timeout=20) as response:
        actors = json.load(response)["data"]["result"]["result"]
    return [actor["class_name"] for actor in actors if actor["job_id"] == driver]
