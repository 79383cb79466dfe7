"""The summary with which a sweep ends, and the live line before it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from raydnn.analysis.progress import Progress
from raydnn.cli.course import print_course, sparkline
from raydnn.cli.progress import SweepLine
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import EventLog, commit_epochs, commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run

LOSSES = {0: [0.9, 0.3], 1: [0.8], 2: [0.7, 0.6]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    resolved = {"metric": "validation_loss", "mode": "min", "command": "sweep"}
    made = create_run(str(tmp_path), "demo", "", resolved)
    spec = TrialSpec.from_training(Training.model_validate({"data": "digits", "optimizer": "sgd"}))
    states = {0: ("COMPLETED", 0), 1: ("STOPPED", 0), 2: ("RUNNING", 0), 3: ("PENDING", None)}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        trial_row(made, f"t{n:05d}", n, spec, state=state, rung=rung, started_at=at)
        for n, (state, rung) in states.items()
    ]
    commit_trials(made, 0, 1, rows)
    for epoch in (1, 2):
        there = {n: losses[epoch - 1] for n, losses in LOSSES.items() if len(losses) >= epoch}
        commit_epochs(
            made,
            0,
            1,
            [{"trial_id": f"t{n:05d}", "epoch": epoch, "validation_loss": v} for n, v in there.items()],
        )
    events = EventLog(made)
    for number, kind in enumerate(["promoted", "stopped", "promoted"]):
        events.add(kind, trial_id=f"t{number:05d}", epoch=1, bracket=0, rung=0)
    events.commit()
    return made


def test_the_line_counts_states_rungs_and_epochs(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(run)
    progress.poll()
    SweepLine(4, 8)(progress, [], True)
    line = capsys.readouterr().err
    assert "trials 2/4 ended (1 completed, 1 stopped), 1 running" in line
    assert "rungs 3 " in line
    assert "epochs 5 of at most 8" in line
    assert "best validation_loss 0.3 (t00000)" in line


def test_the_summary_tells_how_the_sweep_went(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    print_course(run, 8)
    told = capsys.readouterr().err
    assert "trials: 4: 1 pending, 1 running, 1 completed, 1 stopped" in told
    assert "rungs: went on 2 of 3 after epoch 1" in told
    assert "epochs: 5 of at most 8 (62%)" in told
    assert "0.3 (t00000" in told
    assert f"Parquet: {run.uri}/trials/*.parquet" in told


def test_a_sparkline_is_as_high_as_its_values() -> None:
    assert sparkline([3.0, 1.0, 2.0]) == "█▁▅"
    assert sparkline([2.0, 2.0]) == "▁▁"
