"""Every epoch is told once, also where its file was compacted away before anyone looked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raydnn.analysis.progress import Progress
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_epochs, commit_trials
from raydnn.store.compact import compact
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run

SPEC = TrialSpec.from_training(Training.model_validate({"data": "digits", "optimizer": "sgd"}))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    resolved = {"metric": "validation_loss", "mode": "min", "command": "sweep"}
    return create_run(str(tmp_path), "demo", "", resolved)


def _train(run: Run, stack: int, epochs: int) -> None:
    trial_id = f"t{stack:05d}"
    commit_trials(run, stack, 1, [trial_row(run, trial_id, stack, SPEC, state="RUNNING")])
    for epoch in range(1, epochs + 1):
        row = {"trial_id": trial_id, "epoch": epoch, "validation_loss": 1 / (epoch + stack)}
        commit_epochs(run, stack, 1, [row])
    commit_trials(run, stack, 1, [trial_row(run, trial_id, stack, SPEC, state="COMPLETED")])


@pytest.mark.parametrize("looks", [(0,), (1,), (0, 2), (0, 1, 2, 3), (3,)])
def test_every_epoch_is_told_once(run: Run, looks: tuple[int, ...]) -> None:
    """Looks at the run between its steps: begun, one stack trained, both, compacted; and once at its end."""
    steps: list[Callable[[], None]] = [
        lambda: None,
        lambda: _train(run, 0, 3),
        lambda: _train(run, 1, 2),
        lambda: compact(run),
    ]
    progress = Progress(run)
    told = []
    for number, step in enumerate(steps):
        step()
        if number in looks:
            told += progress.poll()
    told += progress.poll()
    expected = [("t00000", 1), ("t00000", 2), ("t00000", 3), ("t00001", 1), ("t00001", 2)]
    assert sorted((row["trial_id"], row["epoch"]) for row in told) == expected
    assert progress.count() == {"COMPLETED": 2}
    assert progress.best == (1 / 3, "t00000") or progress.best == (1 / 3, "t00001")
