"""Trainings through the real command line: in this process, on several workers, interrupted, killed, resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raydnn.store.read import load

JOB = """
name: one
data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [128]}
optimizer: {name: adamw, lr: 0.002}
schedule: {name: cosine, warmup_epochs: 1}
train: {epochs: 16, batch_size: 4}
"""
EPOCHS = list(range(1, 17))
LOSSES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


def rows(run: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(run, table).to_pylist()
    return found


def curve(run: Path) -> list[list[float]]:
    return [[row[name] for name in LOSSES] for row in rows(run, "epochs")]


@pytest.fixture(scope="module")
def begin(raydnn: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    storage = tmp_path_factory.mktemp("storage")
    job = storage / "one.yaml"
    job.write_text(JOB)

    def start(name: str, *overrides: str, **limits: int) -> Any:
        given = ("train", str(job), f"storage={storage}", "--run-id", name, *overrides)
        return raydnn(storage / name, *given, **limits)

    return start


@pytest.fixture(scope="module")
def undisturbed(begin: Callable[..., Any]) -> Path:
    command = begin("undisturbed")
    command.wait_for_commits(1)
    # One worker here needs no Ray process.
    assert not command.descendants()
    code, output = command.end()
    assert code == 0, output
    return command.run


def test_every_epoch_is_there_once(undisturbed: Path) -> None:
    assert [row["epoch"] for row in rows(undisturbed, "epochs")] == EPOCHS
    (trial,) = rows(undisturbed, "trials")
    assert (trial["trial_id"], trial["state"], trial["stop_reason"]) == ("t00000", "COMPLETED", "epochs")
    assert trial["m_test_accuracy"] > 0.9
    assert not (undisturbed / ".tmp").exists()


def test_whatever_ends_the_process_the_training_goes_on_to_the_same_end(
    begin: Callable[..., Any], raydnn: Callable[..., Any], undisturbed: Path
) -> None:
    command = begin("disturbed")
    run = command.run
    for how in ("SIGTERM", "Ctrl-C", "SIGKILL"):
        command.wait_for_commits(2)
        if how == "Ctrl-C":
            command.interrupt()
        else:
            command.process.send_signal(signal.Signals[how])
        code, output = command.end()
        assert code == (-signal.SIGKILL if how == "SIGKILL" else 130), output
        assert rows(run, "trials")[0]["state"] == ("RUNNING" if how == "SIGKILL" else "PREEMPTED")
        command = raydnn(run, "train", "--resume", str(run))
    code, output = command.end()
    assert code == 0, output
    assert [row["epoch"] for row in rows(run, "epochs")] == EPOCHS
    assert len({row["attempt"] for row in rows(run, "epochs")}) == 4
    assert curve(run) == curve(undisturbed)
    (trial,), (expected,) = rows(run, "trials"), rows(undisturbed, "trials")
    assert trial["m_test_loss"] == expected["m_test_loss"]
    assert (trial["state"], trial["stop_reason"]) == ("COMPLETED", "epochs")


def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_space(
    begin: Callable[..., Any], raydnn: Callable[..., Any], undisturbed: Path
) -> None:
    """The checkpoint of the first epoch does not fit; the epoch's rows do, and stay readable."""
    command = begin("full", limit_bytes=80 * 1024)
    code, output = command.end()
    assert code == 5, output
    assert "tensors.safetensors cannot be written: File too large" in output
    assert "Traceback" not in output
    (trial,) = rows(command.run, "trials")
    assert (trial["state"], trial["error_type"]) == ("PREEMPTED", "StoreError")
    assert [row["epoch"] for row in rows(command.run, "epochs")] == [1]
    code, output = raydnn(command.run, "train", "--resume", str(command.run)).end()
    assert code == 0, output
    assert curve(command.run) == curve(undisturbed)


@pytest.mark.ray
def test_two_workers_give_the_curve_of_one_whatever_is_killed(
    begin: Callable[..., Any], raydnn: Callable[..., Any], undisturbed: Path, left_over: Callable[..., Any]
) -> None:
    """A worker is killed, then Ctrl-C, then the run is resumed."""
    command = begin("two", "resources.workers=2")
    run = command.run
    command.wait_for_commits(2)
    os.kill(command.worker("ray::RayTrainWorker"), signal.SIGKILL)
    before = {row["attempt"] for row in rows(run, "epochs")}
    command.wait_until(lambda: {row["attempt"] for row in rows(run, "epochs")} - before)
    started = command.descendants()
    command.interrupt()
    code, output = command.end()
    assert code == 130, output
    assert not left_over(started)
    assert rows(run, "trials")[0]["state"] == "PREEMPTED"
    code, output = raydnn(run, "train", "--resume", str(run)).end()
    assert code == 0, output
    assert [row["epoch"] for row in rows(run, "epochs")] == EPOCHS
    for row, expected in zip(curve(run), curve(undisturbed), strict=True):
        assert row == pytest.approx(expected, abs=1e-4)
    (trial,), (expected,) = rows(run, "trials"), rows(undisturbed, "trials")
    assert (trial["state"], trial["workers"]) == ("COMPLETED", 2)
    assert trial["m_test_loss"] == pytest.approx(expected["m_test_loss"], abs=1e-4)
    assert not (run / ".tmp").exists()
