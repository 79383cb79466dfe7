"""Confidence intervals of a winner's value."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, fmean, stdev

LEVEL = 0.95
"""How often an interval holds the true value."""


def student(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """The interval of a mean: x̄ ± t · s / √n, t the (1 + level) / 2 quantile of Student's t with n − 1 degrees.

    Args:
        values: At least two, as if drawn from one normal distribution.
        level: Between 0 and 1.

    Source: Student (1908), The probable error of a mean, Biometrika 6.
    """
    from scipy.special import stdtrit

    n = len(values)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * stdev(values) / sqrt(n)
    return fmean(values) - half, fmean(values) + half


def wilson(share: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share p of n examples: (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        share: From 0 to 1, such as an accuracy.
        n: Number of examples, at least 1.
        level: Between 0 and 1; z is the (1 + level) / 2 quantile of the normal distribution.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = share + z**2 / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
