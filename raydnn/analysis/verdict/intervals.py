"""Confidence intervals of a winner's value, also where the values of which they are made chose the winner."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import hypot, sqrt
from statistics import NormalDist, fmean, stdev

LEVEL = 0.95
"""How often an interval holds the true value."""
NEAR = 3.0
"""Standard errors of a difference: what lies further behind the best has not contended with it."""
_QUANTILES = 2000
"""Points at which the mean over a standard deviation's distribution is taken."""
_WIDEST = 1e4
"""No interval is wider, in standard errors."""


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


def of_best(
    values: Sequence[float], others: Sequence[Sequence[float]], level: float = LEVEL
) -> tuple[float, float]:
    """The interval of the mean of what was chosen from several because its values have the largest mean.

    x̄ − q · s / √n to x̄ + t · s / √n. The largest of c equal means is too large: q is the number with
    E[Φ(q S)ᶜ] = level, where S² is χ² / (n − 1) with n − 1 degrees, so that in 1 − level of all cases the largest
    mean lies that far above its true value. Above, t leaves what q leaves of 1 − level to one that is far ahead of
    the others. c counts the chosen one and those whose mean lies within three standard errors of the difference
    below its own; with c = 1 this is Student's interval. A simulation in the tests holds its coverage.

    Args:
        values: The chosen one's, at least two.
        others: Of each other one; a single value is taken to vary as the chosen one's do.
        level: Between 0 and 1.
    """
    from scipy.special import stdtr, stdtrit

    n, mean = len(values), fmean(values)
    error = stdev(values) / sqrt(n)
    c = 1 + sum(mean - fmean(other) <= NEAR * hypot(error, _error(other, stdev(values))) for other in others)
    if c == 1:
        return student(values, level)
    below = _best_of_equals(c, n - 1, level)
    above = float(stdtrit(n - 1, level + 1 - stdtr(n - 1, below)))
    return mean - below * error, mean + above * error


def _error(values: Sequence[float], deviation: float) -> float:
    """Standard error of a mean; of a single value's, with a deviation from elsewhere."""
    return (stdev(values) if len(values) > 1 else deviation) / sqrt(len(values))


@cache
def _best_of_equals(c: int, degrees: int, level: float) -> float:
    """The q with E[Φ(q S)ᶜ] = level, by bisection."""
    import numpy as np
    from scipy.special import gammaincinv, ndtr

    shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    deviations = np.sqrt(2 * gammaincinv(degrees / 2, shares) / degrees)
    low, high = 0.0, _WIDEST
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if (ndtr(middle * deviations) ** c).mean() < level else (low, middle)
    return high
