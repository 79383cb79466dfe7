"""Configurations ranked by the mean over their seeds, reckoned by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raydnn.analysis.tables import show, summary, top
from raydnn.analysis.verdict.configurations import ranked
from raydnn.analysis.verdict.intervals import of_best
from raydnn.analysis.verdict.winner import winner
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run

VALUES: dict[float, dict[str, list[float | None]]] = {
    0.1: {"search": [0.9, 0.94], "confirm": [0.8, 0.7, 0.9]},
    0.2: {"search": [0.99, None]},
    0.3: {"search": [0.95, 0.97]},
    0.4: {"search": [0.85, 0.85], "confirm": [0.6, 0.6, 0.6]},
    0.5: {"search": [0.9, 0.98], "confirm": [0.99, 0.99, None]},
    0.6: {"search": [None, None]},
}
"""Learning rate → stage → best value of each seed; None diverged."""


def make(folder: Path, values: dict[float, dict[str, list[float | None]]]) -> Run:
    resolved = {"metric": "validation_accuracy", "mode": "max", "command": "sweep", "job": {}}
    run = create_run(str(folder), "r", "", resolved)
    rows: list[dict[str, Any]] = []
    for stage in ("search", "confirm"):
        for lr, of_stage in values.items():
            before = len(of_stage["search"]) if stage == "confirm" else 0
            for repeat, value in enumerate(of_stage.get(stage, []), before):
                spec = TrialSpec(data=Digits(), optimizer=Sgd(lr=lr), seed=5 + repeat)
                state = "DIVERGED" if value is None else "COMPLETED"
                row = trial_row(
                    run,
                    f"t{len(rows):05d}",
                    len(rows),
                    spec,
                    state=state,
                    stage=stage,
                    repeat=repeat,
                    best_value=value,
                    best_epoch=2,
                    epochs=9 if stage == "confirm" else 3,
                )
                rows.append(row)
    commit_trials(run, 0, 1, rows)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make(tmp_path, VALUES)


def test_confirmed_ones_come_first_and_those_that_lack_a_seed_last(run: Run) -> None:
    table = top(run, 10)
    assert table.column_names == [
        *("rank", "trial_id", "stage", "mean_value", "std_value", "seeds", "epochs"),
        "optimizer_lr",
    ]
    assert table["optimizer_lr"].to_pylist() == [0.1, 0.4, 0.5, 0.3, 0.2]
    assert table["trial_id"].to_pylist() == ["t00000", "t00006", "t00008", "t00004", "t00002"]
    assert table["stage"].to_pylist() == ["confirm"] * 3 + ["search"] * 2
    assert table["mean_value"].to_pylist() == pytest.approx([0.8, 0.6, 0.99, 0.96, 0.99])
    stds = table["std_value"].to_pylist()
    assert stds[:4] == pytest.approx([0.1, 0.0, 0.0, 0.0002**0.5], abs=1e-12)
    assert stds[4] is None
    assert table["seeds"].to_pylist() == [3, 3, 2, 2, 1]
    assert table["epochs"].to_pylist() == [9, 9, 9, 3, 3]
    assert top(run, 2).num_rows == 2


def test_the_winner_has_students_interval_wherever_it_is_told(run: Run) -> None:
    best = winner(run)
    assert best is not None
    assert (best.trial_id, best.stage, best.seeds, best.chosen_among) == ("t00000", "confirm", 3, 3)
    # 0.6 lies more than three of the standard error 0.1 / sqrt(3) = 0.057735 behind; 0.99, of a configuration that
    # lacks a seed, does not. With two contenders the interval is nearly Student's: t for 2 degrees is 4.3027.
    assert (best.low, best.high) == of_best([0.8, 0.7, 0.9], [[0.6, 0.6, 0.6], [0.99, 0.99]])
    assert (best.low, best.high) == pytest.approx((0.8 - 0.24841, 0.8 + 0.24841), abs=0.02)
    shown = show(run, None)
    assert shown["winner"]["low"] == best.low
    assert (shown["best_value"], shown["best_trial_id"]) == (pytest.approx(0.8), "t00000")
    assert summary(run)["best_trial_id"] == "t00000"


def test_without_further_seeds_trials_are_ranked_even_if_the_space_searches_the_seed(tmp_path: Path) -> None:
    run = make(tmp_path, {0.1: {"search": [0.5]}, 0.2: {"search": [0.25]}})
    rows = [
        {"config_hash": "x", "seed": n, "number": n, "trial_id": f"t{n:05d}", "state": "COMPLETED"}
        | {"best_value": value, "stage": None, "repeat": None}
        for n, value in enumerate([0.5, 0.9, 0.7])
    ]
    assert [each.number for each in ranked(rows, "max")] == [1, 2, 0]
    assert "best_value" in top(run, 3).column_names
    best = winner(run)
    assert best is not None
    assert (best.value, best.low, best.test_low, best.chosen_among) == (0.5, None, None, 2)


def test_only_test_examples_tell_how_good_the_winners_network_is(tmp_path: Path) -> None:
    resolved = {"metric": "validation_accuracy", "mode": "max", "command": "sweep"}
    resolved |= {"examples": {"train": 500, "validation": 50, "test": 100}}
    run = create_run(str(tmp_path), "r", "", resolved)
    spec = TrialSpec(data=Digits(), optimizer=Sgd(lr=0.1), seed=0)
    for number, (value, tested) in enumerate([(0.4, 0.6), (0.7, 0.5)]):
        ended = {"state": "COMPLETED", "best_value": value, "m_test_accuracy": tested}
        commit_trials(run, number, 1, [trial_row(run, f"t{number:05d}", number, spec, **ended)])
    best = winner(run)
    assert best is not None
    assert (best.value, best.examples, best.low) == (0.7, 50, None)
    assert (best.test_accuracy, best.test_examples) == (0.5, 100)
    # Wilson by hand: z² = 3.8415; half a width of 1.96 sqrt(0.0025 + 3.8415 / 40000) / 1.038415.
    assert (best.test_low, best.test_high) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_a_seed_that_was_trained_twice_counts_once() -> None:
    rows = [
        {"config_hash": "x", "seed": seed, "number": n, "trial_id": f"t{n:05d}", "state": "STOPPED"}
        | {"best_value": value, "stage": "search", "repeat": min(n, 1)}
        for n, (seed, value) in enumerate([(0, 1.0), (1, 2.0), (1, 2.0)])
    ]
    (one,) = ranked(rows, "min")
    assert (one.mean, one.spread.values) == (1.5, (1.0, 2.0))
