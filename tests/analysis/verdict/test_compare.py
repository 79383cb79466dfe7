"""Two runs are compared as SciPy compares pairs, and at equal epochs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy import stats

from raydnn.analysis.verdict.compare import Compared, compare
from raydnn.errors import UsageError
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_epochs, commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run


def _run(
    folder: Path, name: str, curves: dict[float, Sequence[float | None]], metric: str = "validation_loss"
) -> Run:
    """A run of trials with these learning rates and curves."""
    mode = "min" if metric.endswith("loss") else "max"
    run = create_run(str(folder), name, "", {"metric": metric, "mode": mode})
    specs = [TrialSpec(data=Digits(), optimizer=Sgd(lr=lr)) for lr in curves]
    commit_trials(run, 0, 1, [trial_row(run, f"t{n:05d}", n, spec) for n, spec in enumerate(specs)])
    rows = [
        {"trial_id": f"t{n:05d}", "epoch": epoch, metric: value}
        for n, curve in enumerate(curves.values())
        for epoch, value in enumerate(curve, 1)
    ]
    commit_epochs(run, 0, 1, rows)
    return run


@pytest.mark.parametrize(("metric", "better"), [("validation_loss", "a"), ("validation_accuracy", "b")])
def test_pairs_are_compared_as_scipy_does(tmp_path: Path, metric: str, better: str) -> None:
    rng = random.Random(0)
    first = {n / 100: rng.random() for n in range(1, 13)}
    second = {lr: value + 0.2 + 0.1 * rng.random() for lr, value in first.items()}
    a = _run(tmp_path, "a", {lr: [v] for lr, v in first.items()} | {0.5: [9.0]}, metric)
    b = _run(tmp_path, "b", {lr: [v] for lr, v in reversed(second.items())} | {0.6: [9.0]}, metric)
    found = compare(a, b)
    expected = stats.ttest_rel(list(second.values()), list(first.values())).confidence_interval(0.95)
    assert (found.better, found.pairs) == (better, 12)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.difference == pytest.approx((expected.low + expected.high) / 2)
    back = compare(b, a)
    assert (back.better, back.difference) == (better, pytest.approx(-(found.difference or 0)))


def test_the_best_value_by_the_same_epoch_counts(tmp_path: Path) -> None:
    a = _run(tmp_path, "a", {0.1: [3.0, 1.0, 2.0, 0.1], 0.2: [5.0, math.nan, 0.0], 0.3: [math.nan]})
    b = _run(tmp_path, "b", {0.1: [2.5, 2.0, 1.5], 0.2: [4.0, 3.0], 0.3: [1.0]})
    found = compare(a, b)
    assert found.pairs == 2
    assert found.difference == pytest.approx(((1.5 - 1.0) + (4.0 - 5.0)) / 2)
    assert found.better is None


def test_noise_is_no_difference(tmp_path: Path) -> None:
    """Of 40 comparisons of equals one in twenty may be taken for one: more than 6 have a chance of 1 in 300."""
    rng = random.Random(1)
    told = 0
    for n in range(40):
        runs = [
            _run(tmp_path, f"{name}{n}", {k / 9: [rng.gauss(0, 1)] for k in range(1, 9)}) for name in "ab"
        ]
        told += compare(*runs).better is not None
    assert told <= 6


def test_one_pair_has_no_interval_and_none_no_difference(tmp_path: Path) -> None:
    a, b, c = (_run(tmp_path, name, {lr: [0.5]}) for name, lr in (("a", 0.1), ("b", 0.1), ("c", 0.2)))
    assert compare(a, b) == Compared(None, 0.0, None, None, 1)
    assert compare(a, c) == Compared(None, None, None, None, 0)


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    a, b = _run(tmp_path, "a", {0.1: [0.5]}), _run(tmp_path, "b", {0.1: [0.5]}, "validation_accuracy")
    with pytest.raises(UsageError, match=r"a has validation_loss \(min\), b has validation_accuracy \(max\)"):
        compare(a, b)
    with pytest.raises(UsageError, match="both are run a"):
        compare(a, a)
