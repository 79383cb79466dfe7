"""Confidence intervals agree with SciPy's, and hold the true value as often as they say."""

from __future__ import annotations

from statistics import fmean, stdev

import numpy as np
import pytest
from scipy import stats

from raydnn.analysis.intervals import student, wilson


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
