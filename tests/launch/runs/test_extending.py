"""Sweeps that are extended, through the real command line: undisturbed, killed, before their own trials have ended."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raydnn.store.read import load

pytestmark = [pytest.mark.ray, pytest.mark.slow]

JOB = """
name: extended
seed: 3
data: {name: digits, validation_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [16]}
optimizer: sgd
search:
  scheduler: {name: asha, min_epochs: 1, max_epochs: 8, eta: 2}
  trials: 6
  stack: 3
  space:
    optimizer: [sgd, adamw]
    optimizer.sgd.lr: choice(0.01, 0.1, 1e12)
    optimizer.adamw.lr: loguniform(1e-3, 1e-1)
    regularization.dropout: uniform(0, 0.5)
"""
MORE = "search.trials=+4"


def rows(run: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(run, table).to_pylist()
    return found


def results(run: Path) -> dict[str, Any]:
    """All that must not depend on what was killed."""
    columns = ("trial_id", "config_hash", "state", "epochs", "best_value", "best_epoch", "rung")
    epochs = ("trial_id", "epoch", "train_loss", "validation_loss", "grad_norm")
    events = ("trial_id", "epoch", "kind", "rung", "value", "cutoff")
    return {
        "trials": [[str(row[name]) for name in columns] for row in rows(run, "trials")],
        "epochs": [[str(row[name]) for name in epochs] for row in rows(run, "epochs")],
        "verdicts": sorted(
            [str(row[name]) for name in events]
            for row in rows(run, "events")
            if row["kind"] in ("stopped", "promoted")
        ),
    }


@pytest.fixture(scope="module")
def whole(raydnn: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of six trials."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "job.yaml"
    path.write_text(JOB)
    command = raydnn(folder / "run", "sweep", str(path), f"storage={folder}", "--run-id", "run")
    code, output = command.end()
    assert code == 0, output
    return Path(command.run)


@pytest.fixture(scope="module")
def longer(raydnn: Callable[..., Any], whole: Path) -> Path:
    """A copy of it with four more trials."""
    run = whole.parent / "longer" / "run"
    shutil.copytree(whole, run)
    code, output = raydnn(run, "sweep", "--extend", str(run), MORE).end()
    assert code == 0, output
    assert "run run: extended from 6 to 10 trials" in output
    assert "trials 10/10 ended" in output
    return run


def test_rows_of_before_stay_as_they_are(whole: Path, longer: Path) -> None:
    for table in ("trials", "epochs", "events"):
        before, after = load(whole, table), load(longer, table)
        assert after.num_rows > before.num_rows
        assert repr(after.to_pylist()[: before.num_rows]) == repr(before.to_pylist())


def test_new_trials_are_those_of_one_long_sweep_under_the_same_scheduler(whole: Path, longer: Path) -> None:
    trials = rows(longer, "trials")
    assert [row["number"] for row in trials] == list(range(10))
    assert len({row["config_hash"] for row in trials}) == 10
    assert {row["state"] for row in trials[6:]} <= {"COMPLETED", "STOPPED", "DIVERGED"}
    # The scheduler compares the new ones with all that it has heard before.
    at_first_rung = [row for row in rows(longer, "events") if row["epoch"] == 1 and row["trial_id"]]
    assert {row["trial_id"] for row in at_first_rung} >= {f"t{number:05d}" for number in (8, 9)}
    assert all(row["cutoff"] is not None for row in at_first_rung if row["trial_id"] >= "t00006")


def test_a_killed_extension_is_resumed_to_the_same_end(
    raydnn: Callable[..., Any], whole: Path, longer: Path
) -> None:
    run = whole.parent / "killed" / "run"
    shutil.copytree(whole, run)
    command = raydnn(run, "sweep", "--extend", str(run), MORE)
    command.wait_for_commits(2)
    command.process.send_signal(signal.SIGKILL)
    command.end()
    assert {row["state"] for row in rows(run, "trials")} & {"RUNNING", "PENDING"}
    code, output = raydnn(run, "sweep", "--resume", str(run)).end()
    assert code == 0, output
    assert results(run) == results(longer)


def test_a_run_is_finished_under_its_own_scheduler_before_its_extension_begins(
    raydnn: Callable[..., Any], whole: Path, tmp_path: Path
) -> None:
    path = whole.parent / "job.yaml"
    run = tmp_path / "run"
    command = raydnn(run, "sweep", str(path), f"storage={tmp_path}", "--run-id", "run")
    command.wait_for_commits(3)
    command.process.send_signal(signal.SIGKILL)
    command.end()
    other = ("search.scheduler={name: median, max_epochs: 9, min_epochs: 5}", "search.algorithm=sobol")
    code, output = raydnn(run, "sweep", "--extend", str(run), "search.trials=+4", *other).end()
    assert code == 0, output
    found, expected = results(run), results(whole)
    assert found["trials"][:6] == expected["trials"]
    assert found["epochs"][: len(expected["epochs"])] == expected["epochs"]
    assert [each for each in found["verdicts"] if each[0] < "t00006"] == expected["verdicts"]
    again = [row for row in rows(run, "trials") if row["number"] >= 6]
    assert {row["p_train_epochs"] for row in again} == {9}
    assert all(row["epochs"] >= 5 for row in again if row["state"] != "DIVERGED")
