"""The normal domains, truncated to the bounds of the field they are searched for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist

from raydnn.space.domains.written import Continuous, check_numbers, quantile

SMALLEST_MASS = 0.01
"""A normal distribution with less than this share inside a field's bounds is an error."""


@dataclass(frozen=True)
class Normal(Continuous):
    """`normal(m, s)`: the normal distribution of mean m and deviation s, truncated to the field's bounds."""

    mean: float
    deviation: float
    lowest: float = field(default=-math.inf, metadata={"written": False})
    highest: float = field(default=math.inf, metadata={"written": False})

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.deviation <= 0:
            raise ValueError(f"{self} has the deviation {self.deviation}; allowed: above 0")
        low, high = self._mass()
        if high - low < SMALLEST_MASS:
            raise ValueError(f"{self} lies almost wholly outside its bounds")

    def within(self, lowest: float, highest: float) -> Normal:
        """The same distribution, truncated to lowest ≤ x ≤ highest."""
        return replace(self, lowest=lowest, highest=highest)

    def from_unit(self, u: float) -> float:
        low, high = self._mass()
        inside = quantile(max(low + u * (high - low), 1e-300))
        drawn = self._outward(NormalDist(self.mean, self.deviation).inv_cdf(inside))
        return min(max(drawn, self.lowest), self.highest)

    def to_unit(self, value: float) -> float:
        low, high = self._mass()
        below = NormalDist(self.mean, self.deviation).cdf(self._inward(value))
        return quantile((below - low) / (high - low))

    def _mass(self) -> tuple[float, float]:
        """Share of the untruncated distribution below each bound."""
        distribution = NormalDist(self.mean, self.deviation)
        low, high = (
            bound if math.isinf(bound) else distribution.cdf(bound)
            for bound in (self._inward(self.lowest), self._inward(self.highest))
        )
        return max(low, 0.0), min(high, 1.0)

    def _inward(self, value: float) -> float:
        return value

    def _outward(self, value: float) -> float:
        return value


class LogNormal(Normal):
    """`lognormal(m, s)`: exp of a normal draw of mean m and deviation s, truncated to the field's bounds."""

    def _inward(self, value: float) -> float:
        return math.log(value) if value > 0 else -math.inf

    def _outward(self, value: float) -> float:
        return math.exp(min(value, math.log(1e300)))
