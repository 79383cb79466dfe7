"""Sweeps on an embedded Ray, through the real command line: undisturbed, killed, interrupted, resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from raydnn.store.read import load

pytestmark = pytest.mark.ray

JOB = """
name: sweep
seed: 3
data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [16]}
optimizer: sgd
search:
  scheduler: {name: asha, min_epochs: 2, max_epochs: 20, eta: 2}
  trials: 16
  stack: 4
  space:
    optimizer: [sgd, adamw]
    optimizer.sgd.lr: choice(0.01, 0.1, 1e12)
    optimizer.adamw.lr: loguniform(1e-3, 1e-1)
    train.batch_size: choice(8, 16)
    regularization.dropout: uniform(0, 0.5)
    seed: randint(0, 1000)
"""
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1 and ::ffff:127.0.0.1 as the kernel writes them."""
RUNGS = (2, 4, 8, 16)
EPOCHS = 20
MEASURED = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "grad_norm", "lr")


def rows(run: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(run, table).to_pylist()
    return found


def results(run: Path) -> dict[str, Any]:
    """All that must not depend on time, on the number of slots or on what was killed."""
    trials = rows(run, "trials")
    names = [name for name in trials[0] if name.startswith(("p_", "m_"))]
    names += ["trial_id", "state", "stop_reason", "best_value", "best_epoch", "epochs", "rung", "error_type"]
    names += ["seed", "config_hash", "parameters", "checkpoint"]
    finished = [row for row in trials if row["best_value"] is not None]
    verdicts = [row for row in rows(run, "events") if row["kind"] in ("stopped", "promoted")]
    columns = ("trial_id", "epoch", "kind", "rung", "value", "cutoff")
    return {
        "trials": [{name: _exact(row[name]) for name in names} for row in trials],
        "epochs": [
            {name: _exact(row[name]) for name in ("trial_id", "epoch", "step", *MEASURED)}
            for row in rows(run, "epochs")
        ],
        "verdicts": sorted(tuple(str(row[name]) for name in columns) for row in verdicts),
        "winner": min(finished, key=lambda row: row["best_value"])["trial_id"],
    }


def _exact(value: Any) -> Any:
    return "nan" if isinstance(value, float) and isnan(value) else value


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("job") / "sweep.yaml"
    path.write_text(JOB)
    return path


@pytest.fixture(scope="module")
def begin(
    raydnn: Callable[..., Any], job: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    storage = tmp_path_factory.mktemp("storage")

    def start(name: str, *overrides: str) -> Any:
        return raydnn(storage / name, "sweep", str(job), f"storage={storage}", "--run-id", name, *overrides)

    return start


@pytest.fixture(scope="module")
def undisturbed(begin: Callable[..., Any], left_over: Callable[..., Any]) -> Iterator[Path]:
    command = begin("undisturbed")
    command.wait_for_commits(1)
    started = command.descendants()
    assert any(title.startswith("ray::ImplicitFunc") for title in started.values())
    needless = ("autoscaler/_private/monitor.py", "dashboard/dashboard.py", "log_monitor.py")
    assert not [title for title in started.values() if any(name in title for name in needless)]
    listening = command.listening()
    assert len(listening) > 5
    assert set(listening) <= LOOPBACK
    code, output = command.end()
    assert code == 0, output
    assert not left_over(started)
    return command.run


def test_every_epoch_of_every_trial_is_there_once(undisturbed: Path) -> None:
    trials, epochs = rows(undisturbed, "trials"), rows(undisturbed, "epochs")
    assert [row["number"] for row in trials] == list(range(16))
    for trial in trials:
        its = [row["epoch"] for row in epochs if row["trial_id"] == trial["trial_id"]]
        assert its == list(range(1, trial["epochs"] + 1))
    assert {row["attempt"] for row in epochs} == {1}
    assert {row["attempts"] for row in trials} == {1}


def test_states_say_how_a_trial_ended(undisturbed: Path) -> None:
    trials = rows(undisturbed, "trials")
    expected = {"COMPLETED": "epochs", "STOPPED": "asha", "DIVERGED": "is not finite"}
    assert {row["state"] for row in trials} == set(expected)
    for row in trials:
        assert expected[row["state"]] in row["stop_reason"]
        assert (row["epochs"] == EPOCHS) == (row["state"] == "COMPLETED")
        assert (row["checkpoint"] is not None) == (row["state"] == "COMPLETED")
        assert row["state"] != "STOPPED" or row["epochs"] in RUNGS
        assert row["started_at"] < row["ended_at"]
        assert row["error"] is None


def test_events_hold_a_verdict_for_each_trial_and_rung(undisturbed: Path) -> None:
    events = rows(undisturbed, "events")
    assert [row["sequence"] for row in events] == list(range(1, len(events) + 1))
    verdicts = {(row["trial_id"], row["epoch"]): row["kind"] for row in events if row["trial_id"]}
    assert len(verdicts) == sum(row["trial_id"] is not None for row in events)
    for trial in rows(undisturbed, "trials"):
        diverged = trial["state"] == "DIVERGED"
        reached = [epoch for epoch in RUNGS if epoch < trial["epochs"] + (not diverged)]
        its = {epoch: kind for (trial_id, epoch), kind in verdicts.items() if trial_id == trial["trial_id"]}
        assert sorted(its) == reached
        stops = [epoch for epoch, kind in its.items() if kind == "stopped"]
        assert stops == ([trial["epochs"]] if trial["state"] == "STOPPED" else [])
    losses = {(row["trial_id"], row["epoch"]): row["validation_loss"] for row in rows(undisturbed, "epochs")}
    assert all(row["value"] == losses[row["trial_id"], row["epoch"]] for row in events if row["trial_id"])


def test_nothing_is_left_of_rays_own_files(undisturbed: Path) -> None:
    assert not (undisturbed / ".tmp").exists()
    finished = {row["trial_id"] for row in rows(undisturbed, "trials") if row["state"] == "COMPLETED"}
    assert {path.name for path in (undisturbed / "checkpoints").iterdir()} == finished
    assert [path.name for path in (undisturbed / "logs").iterdir()] == []


@pytest.mark.parametrize(
    "ends", [("Ctrl-C", "SIGKILL"), pytest.param(("SIGTERM", "SIGTERM", "SIGKILL"), marks=pytest.mark.slow)]
)
def test_whatever_is_killed_the_end_is_the_same(
    begin: Callable[..., Any],
    raydnn: Callable[..., Any],
    undisturbed: Path,
    left_over: Callable[..., Any],
    ends: tuple[str, ...],
) -> None:
    """One run that several processes drive in turn; in the last one a worker is killed."""
    command = begin("-".join(ends))
    run = command.run
    finished: dict[tuple[str, int], Any] = {}
    for how in ends:
        command.wait_for_commits(6)
        started = command.descendants()
        if how == "Ctrl-C":
            command.interrupt()
        else:
            command.process.send_signal(signal.Signals[how])
        code, output = command.end()
        assert code == (-signal.SIGKILL if how == "SIGKILL" else 130), output
        if how == "SIGKILL":
            # Ray's agents look for their head for another minute.
            started = {pid: title for pid, title in started.items() if not title.endswith("Agent")}
        assert not left_over(started)
        trials = {row["trial_id"]: row for row in rows(run, "trials")}
        states = {row["state"] for row in trials.values()}
        assert states & ({"RUNNING"} if how == "SIGKILL" else {"PREEMPTED"})
        if how != "SIGKILL":
            assert not states & {"RUNNING", "PENDING", "FAILED"}
            assert f"raydnn sweep --resume {run}" in output
        ended = {trial_id for trial_id, row in trials.items() if row["state"] in ("COMPLETED", "STOPPED")}
        finished |= {key: value for key, value in _commits(run).items() if key[0] in ended}
        command = raydnn(run, "sweep", "--resume", str(run))
    command.wait_for_commits(3)
    os.kill(command.worker("ray::ImplicitFunc"), signal.SIGKILL)
    code, output = command.end()
    assert code == 0, output
    assert finished
    assert finished.items() <= _commits(run).items()
    assert results(run) == results(undisturbed)
    assert "retried" in {row["kind"] for row in rows(run, "events")}
    assert not (run / ".tmp").exists()

    before = _commits(run)
    code, output = raydnn(run, "sweep", "--resume", str(run)).end()
    assert code == 0, output
    assert _commits(run) == before


def _commits(run: Path) -> dict[tuple[str, int], tuple[int, Any]]:
    """(trial id, epoch) → by which attempt and when it was committed."""
    return {
        (row["trial_id"], row["epoch"]): (row["attempt"], row["committed_at"]) for row in rows(run, "epochs")
    }
