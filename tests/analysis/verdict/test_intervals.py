"""Confidence intervals agree with SciPy's, and hold the true value as often as they say."""

from __future__ import annotations

from statistics import fmean, stdev

import numpy as np
import pytest
from scipy import stats

from raydnn.analysis.verdict.intervals import of_best, student, wilson


@pytest.mark.parametrize(
    "values", [[0.5, 0.7], [0.91, 0.93, 0.92, 0.95, 0.9], list(np.geomspace(0.1, 4, 30))]
)
def test_students_interval_is_scipys(values: list[float]) -> None:
    sem = stdev(values) / len(values) ** 0.5
    expected = stats.t.interval(0.95, len(values) - 1, loc=fmean(values), scale=sem)
    assert student(values) == pytest.approx(expected, rel=1e-12)


def test_students_interval_by_hand() -> None:
    # The table's t for 4 degrees of freedom is 2.776; mean 3, s = 1.5811, s / sqrt(5) = 0.70711.
    assert student([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=2e-4)


def test_students_interval_holds_the_mean_in_95_of_100_cases() -> None:
    draws = np.random.default_rng(0).normal(2.0, 0.3, (2000, 4))
    held = [low <= 2.0 <= high for low, high in (student(row.tolist()) for row in draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (9, 10), (287, 288), (9_700, 10_000)])
def test_wilsons_interval_is_scipys(right: int, n: int) -> None:
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("share", "n"), [(0.5, 50), (0.5, 360), (0.9, 100), (0.9, 360), (0.97, 1000)])
def test_wilsons_interval_holds_the_share_in_93_to_97_of_100_cases(share: float, n: int) -> None:
    # Exactly, by the binomial distribution, not by draws.
    right = np.arange(n + 1)
    held = [low <= share <= high for low, high in (wilson(count / n, n) for count in right)]
    assert 0.93 <= stats.binom.pmf(right, n, share)[held].sum() <= 0.97


def test_the_best_of_one_has_students_interval() -> None:
    values = [0.9, 0.93, 0.91]
    assert of_best(values, []) == student(values)
    assert of_best(values, [[0.1, 0.11, 0.12], [0.2]]) == student(values)


MEANS = {
    "equal": lambda c: np.zeros(c),
    "one ahead": lambda c: np.r_[9.0, np.zeros(c - 1)],
    "half ahead": lambda c: np.r_[np.full(c // 2, 9.0), np.zeros(c - c // 2)],
    "one after another": lambda c: -0.3 * np.arange(c),
    "as if drawn": lambda c: np.random.default_rng(1).normal(size=c),
}


@pytest.mark.parametrize("means", MEANS)
@pytest.mark.parametrize(("n", "c"), [(2, 12), (3, 3), (5, 6)])
def test_the_interval_of_the_best_holds_its_mean_in_93_to_97_of_100_cases(n: int, c: int, means: str) -> None:
    """What is printed for a winner that was chosen by the very values of which its interval is made."""
    true = MEANS[means](c)
    cases = 2000
    draws = np.random.default_rng([n, c]).normal(size=(cases, c, n)) + true[:, None]
    first = draws.mean(axis=2).argmax(axis=1)
    held = 0
    for case, best in zip(draws, first, strict=True):
        others = np.delete(case, best, axis=0).tolist()
        low, high = of_best(case[best].tolist(), others)
        held += low <= true[best] <= high
    # Two standard deviations of a share of 2,000 cases are 0.01.
    assert 0.93 - 0.01 <= held / cases <= 0.97 + 0.01


def test_students_interval_of_the_best_would_not() -> None:
    draws = np.random.default_rng(0).normal(size=(2000, 10, 3))
    best = [max(case.tolist(), key=fmean) for case in draws]
    assert np.mean([low <= 0 <= high for low, high in map(student, best)]) < 0.9
