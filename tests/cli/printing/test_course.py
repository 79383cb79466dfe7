"""The summary with which a sweep ends, and the live line before it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from raydnn.analysis.progress import Progress
from raydnn.analysis.verdict.winner import Winner
from raydnn.cli.printing.course import certainty, chosen, print_course, sparkline
from raydnn.cli.printing.progress import SweepLine
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


def test_exploits_are_told_and_their_winner_has_nothing_to_confirm(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    events = EventLog(run)
    for number, epoch in ((0, 2), (1, 2), (0, 4)):
        events.add("exploited", trial_id=f"t{number:05d}", epoch=epoch, detail={"source": "t00002"})
    events.commit()
    spec = TrialSpec.from_training(Training.model_validate({"data": "digits", "optimizer": "sgd"}))
    row = trial_row(run, "t00000", 0, spec, state="COMPLETED", best_value=0.25, stage="search", repeat=0)
    commit_trials(run, 9, 9, [row])
    print_course(run, 8)
    told = capsys.readouterr().err
    assert "exploits: 2 after epoch 2, 1 after epoch 4" in told
    assert "winner: t00000, validation_loss 0.25\n" in told


def test_the_winner_is_told_with_what_is_known_of_other_seeds(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = TrialSpec.from_training(Training.model_validate({"data": "digits", "optimizer": "sgd"}))
    for number, value in ((0, 0.25), (1, 0.35)):
        ended = {"state": "COMPLETED", "best_value": value, "stage": "search", "repeat": number}
        row = trial_row(run, f"t{number:05d}", number, spec.with_seed(number), **ended)
        commit_trials(run, 9 + number, 9, [row])
        print_course(run, 8)
        told = capsys.readouterr().err
        if number == 0:
            assert "winner: t00000, validation_loss 0.25\n" in told
            assert "seeds: one, which tells nothing of others; search.confirm=3 trains more" in told
    # t for 1 degree of freedom is 12.706, and s / sqrt(2) = 0.05.
    assert "over 2 seeds" in told
    assert "with 95 % confidence in -0.3353 to 0.9353" in told


def test_a_value_that_chose_the_winner_has_no_interval() -> None:
    best = Winner("t00003", "search", 0.9, None, 1, 48, 200, None, None)
    assert chosen(best) == ", the best of 48 by the same 200 examples, so likely better than it is"
    assert not any("interval" in line for line in certainty(best))


def test_test_examples_give_one() -> None:
    best = Winner("t00003", "search", 0.95, None, 1, 48, 200, None, None, 0.9, 0.8256, 0.9448, 100)
    assert certainty(best)[-1] == (
        "test: accuracy 0.9, 95 % interval 0.8256 to 0.9448 over 100 test examples, by which nothing was chosen"
    )


def test_a_sparkline_is_as_high_as_its_values() -> None:
    assert sparkline([3.0, 1.0, 2.0]) == "█▁▅"
    assert sparkline([2.0, 2.0]) == "▁▁"
