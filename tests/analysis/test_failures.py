"""What went wrong is grouped by cause, as worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raydnn.analysis.failures import failures
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run

TRIAL = TrialSpec(data=Digits(), optimizer=Sgd(lr=0.1))


def _run(folder: Path, states: list[dict[str, Any]]) -> Run:
    run = create_run(str(folder), "r", "", {"metric": "validation_loss", "mode": "min"})
    commit_trials(
        run, 0, 1, [trial_row(run, f"t{n:05d}", n, TRIAL, **state) for n, state in enumerate(states)]
    )
    return run


def test_trials_of_one_cause_are_told_together(tmp_path: Path) -> None:
    shape = {"state": "FAILED", "error_type": "RuntimeError"}
    run = _run(
        tmp_path,
        [
            {"state": "COMPLETED"},
            {"state": "DIVERGED", "stop_reason": "train_loss is NaN in epoch 3"},
            {**shape, "error": "sizes 3 and 4 differ\nat line 9"},
            {**shape, "error": "sizes 3 and 17 differ\nat line 12", "traceback_path": "logs/t00003.txt"},
            {**shape, "error": "no memory", "traceback_path": "logs/t00004.txt"},
            {**shape, "error_type": "ValueError", "error": "sizes 3 and 4 differ"},
            {**shape, "error": "sizes 1e-05 and 4 differ"},
        ],
    )
    found = failures(run)
    assert found[0] == {
        "state": "FAILED",
        "error_type": "RuntimeError",
        "error": "sizes 3 and 4 differ",
        "trials": ["t00002", "t00003", "t00006"],
        "traceback": f"{run.uri}/logs/t00003.txt",
    }
    assert [cause["trials"] for cause in found[1:]] == [["t00001"], ["t00004"], ["t00005"]]
    assert found[1]["error"] == "train_loss is NaN in epoch 3"
    assert found[1]["traceback"] is None


def test_a_run_without_a_wreck_has_no_cause(tmp_path: Path) -> None:
    assert failures(_run(tmp_path, [{"state": "COMPLETED"}, {"state": "STOPPED"}])) == []
