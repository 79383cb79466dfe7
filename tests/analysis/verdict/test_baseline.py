"""Trials are held against what one and the same answer reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raydnn.analysis.tables import show
from raydnn.analysis.verdict.baseline import beside_baseline
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import create_run

CLASSES = {"class": "no", "train_accuracy": 0.98, "validation_accuracy": 0.99}


@pytest.mark.parametrize(
    ("baseline", "loss", "metrics", "said"),
    [
        (
            CLASSES,
            "cross_entropy",
            {"m_best_validation_accuracy": 0.99},
            "warning: 0.99 is no better than always",
        ),
        (CLASSES, "cross_entropy", {"m_best_validation_accuracy": 0.995}, None),
        (
            {"validation_mse": 4.0},
            "mse",
            {"m_best_validation_loss": 4.5},
            "warning: 4.5 is no better than always",
        ),
        ({"validation_mse": 4.0}, "mse", {"m_best_validation_loss": 3.5}, None),
    ],
)
def test_a_trial_no_better_than_one_answer_is_told(
    tmp_path: Path, baseline: dict[str, Any], loss: str, metrics: dict[str, float], said: str | None
) -> None:
    resolved = {"metric": "validation_loss", "mode": "min", "command": "train", "baseline": baseline}
    run = create_run(str(tmp_path), "r", "", resolved)
    fields = {"data": "digits", "optimizer": "sgd", "loss": loss}
    spec = TrialSpec.from_training(Training.model_validate(fields))
    commit_trials(run, 0, 1, [trial_row(run, "t00000", 0, spec, state="COMPLETED", **metrics)])
    lines = beside_baseline(run, "t00000")
    assert lines[0].startswith("baseline: validation_")
    assert [line.startswith(said or "") for line in lines[1:]] == ([True] if said else [])
    assert show(run, "t00000")["baseline"] == baseline


def test_another_loss_is_not_held_against_the_squared_error(tmp_path: Path) -> None:
    resolved = {"metric": "validation_loss", "mode": "min", "command": "train"}
    run = create_run(str(tmp_path), "r", "", {**resolved, "baseline": {"validation_mse": 4.0}})
    spec = TrialSpec.from_training(Training.model_validate({"data": "digits", "optimizer": "sgd"}))
    row = trial_row(run, "t00000", 0, spec, state="COMPLETED", m_best_validation_loss=9.0)
    commit_trials(run, 0, 1, [row])
    assert beside_baseline(run, "t00000") == []
