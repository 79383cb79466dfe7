"""Domains: the sets a parameter's value is drawn from, each a function of one number in [0, 1).

Every domain maps a uniform u to a value and back, so that random draws, a Sobol sequence and any other design
of points in the unit cube share one path; domains with finitely many values also list them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Protocol

import numpy as np

from raydnn.errors import one_of
from raydnn.space.domains.normal import LogNormal, Normal
from raydnn.space.domains.syntax import Value, freeze, read_call, write_value
from raydnn.space.domains.written import (
    Continuous,
    Written,
    arguments_of,
    check_integers,
    check_numbers,
    check_order,
    check_positive,
    name_of,
    quantile,
)


class Domain(Protocol):
    """A set of values with a distribution on it."""

    def from_unit(self, u: float) -> Value:
        """The value at quantile u in [0, 1)."""

    def to_unit(self, value: Any) -> float:
        """A quantile at which the value stands: the middle one where several give it."""

    def size(self) -> int | None:
        """How many values there are; None if the domain is continuous."""

    def values(self) -> Sequence[Value]:
        """Every value in order; ValueError if the domain is continuous."""


def draw(domain: Domain, rng: np.random.Generator) -> Value:
    """Draw one value from a domain."""
    return domain.from_unit(rng.random())


@dataclass(frozen=True)
class _Interval(Continuous):
    a: float
    b: float

    def __post_init__(self) -> None:
        check_numbers(self)
        check_order(self, self.a, self.b)
        if not math.isfinite(self.b - self.a):
            raise ValueError(f"{self} is wider than a number can tell")

    def _inside(self, value: float) -> float:
        return float(min(max(value, self.a), math.nextafter(self.b, self.a)))


@dataclass(frozen=True)
class _IntegerInterval(Written):
    a: int
    b: int

    def __post_init__(self) -> None:
        check_integers(self)
        check_order(self, self.a, self.b)

    def _inside(self, value: int) -> int:
        return min(max(value, self.a), self.b - 1)

    def size(self) -> int | None:
        return self.b - self.a

    def values(self) -> Sequence[int]:
        return range(self.a, self.b)


class Uniform(_Interval):
    """`uniform(a, b)`: a ≤ x < b, every value equally likely."""

    log: ClassVar[bool] = False

    def from_unit(self, u: float) -> float:
        return self._inside(self.a + u * (self.b - self.a))

    def to_unit(self, value: float) -> float:
        return quantile((value - self.a) / (self.b - self.a))


class LogUniform(_Interval):
    """`loguniform(a, b)`: a ≤ x < b, log x uniform."""

    log: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, self.a)

    def from_unit(self, u: float) -> float:
        return self._inside(_log_between(self.a, self.b, u))

    def to_unit(self, value: float) -> float:
        return quantile(_log_share(self.a, self.b, value))


@dataclass(frozen=True)
class OneMinus(Continuous):
    """`one_minus(loguniform(a, b))`: 1 − x for x of the range inside, for decays and momenta just below 1."""

    inside: Uniform | LogUniform

    def __str__(self) -> str:
        return f"{ONE_MINUS}({self.inside})"

    def from_unit(self, u: float) -> float:
        # Quantiles turn round, so that a larger u still gives a larger value.
        return self.turned(self.inside.from_unit(quantile(1 - u)))

    def to_unit(self, value: float) -> float:
        return quantile(1 - self.inside.to_unit(1 - value))

    def turned(self, x: float) -> float:
        """The value for a number of the range inside."""
        return 1 - x


class RandInt(_IntegerInterval):
    """`randint(a, b)`: whole numbers a ≤ x < b, equally likely."""

    log: ClassVar[bool] = False

    def from_unit(self, u: float) -> int:
        return self._inside(self.a + math.floor(u * (self.b - self.a)))

    def to_unit(self, value: int) -> float:
        return quantile((value - self.a + 0.5) / (self.b - self.a))


class LogRandInt(_IntegerInterval):
    """`lograndint(a, b)`: whole numbers a ≤ x < b, the logarithm uniform before rounding down."""

    log: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, self.a)

    def from_unit(self, u: float) -> int:
        return self._inside(math.floor(_log_between(self.a, self.b, u)))

    def to_unit(self, value: int) -> float:
        return quantile(_log_share(self.a, self.b, math.sqrt(value * (value + 1))))


@dataclass(frozen=True)
class QUniform(Written):
    """`quniform(a, b, q)`: a, a + q, a + 2q, ... at most b, equally likely; whole if a and q are."""

    a: float
    b: float
    q: float

    def __post_init__(self) -> None:
        check_numbers(self)
        check_order(self, self.a, self.b)
        if self.q <= 0 or self.size() < 2:
            raise ValueError(
                f"{self} has the step {self.q}; allowed: above 0, at most the upper end minus the lower"
            )

    def _at(self, step: int) -> float:
        if all(isinstance(x, int) for x in (self.a, self.q)):
            return self.a + step * self.q
        # Decimal steps: 3 · 0.1 is 0.3 as the user would write it, not 0.30000000000000004.
        return float(Decimal(repr(self.a)) + step * Decimal(repr(self.q)))

    def from_unit(self, u: float) -> float:
        count = self.size()
        return self._at(min(math.floor(u * count), count - 1))

    def to_unit(self, value: float) -> float:
        return quantile((round((value - self.a) / self.q) + 0.5) / self.size())

    def size(self) -> int:
        return int((Decimal(repr(self.b)) - Decimal(repr(self.a))) / Decimal(repr(self.q))) + 1

    def values(self) -> Sequence[float]:
        return [self._at(step) for step in range(self.size())]


@dataclass(frozen=True)
class Choice(Written):
    """`choice(x, y, ...)`, or a list: the values given, equally likely."""

    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("no value to choose from; at least one must be given")
        seen: set[str] = set()
        for text in map(write_value, self.options):
            if text in seen:
                raise ValueError(f"{self} holds {text} twice")
            seen.add(text)

    def __str__(self) -> str:
        return f"{name_of(type(self))}({', '.join(map(write_value, self.options))})"

    def from_unit(self, u: float) -> Value:
        return self.options[min(math.floor(u * len(self.options)), len(self.options) - 1)]

    def to_unit(self, value: Value) -> float:
        if value not in self.options:
            raise ValueError(f"{write_value(value)} is no value of {self}")
        return quantile((self.options.index(value) + 0.5) / len(self.options))

    def size(self) -> int:
        return len(self.options)

    def values(self) -> Sequence[Value]:
        return self.options


class Grid(Choice):
    """`grid(x, y, ...)`: the values given; the same as `choice`, for readers who think of a grid."""


ONE_MINUS = "one_minus"

_ONE_MINUS = re.compile(rf"\s*{ONE_MINUS}\s*\((.*)\)\s*", re.DOTALL)

DOMAINS: Mapping[str, type[Any]] = {
    **{
        cls.__name__.lower(): cls
        for cls in (Uniform, LogUniform, QUniform, RandInt, LogRandInt, Normal, LogNormal, Choice, Grid)
    },
    ONE_MINUS: OneMinus,
}
"""Name in a job file → class."""


def parse(written: object) -> Domain | None:
    """Read a domain from text such as `uniform(0, 1)` or from a list of choices.

    Args:
        written: What the job file holds for a searched field.

    Returns:
        The domain, or None where a plain value is given, which is no domain.

    Raises:
        ValueError: The domain is not understood, or contradicts itself.
    """
    if isinstance(written, (list, tuple)):
        return Choice(tuple(freeze(item) for item in written))
    turned = _ONE_MINUS.fullmatch(written) if isinstance(written, str) else None
    if turned:
        inside = None if ONE_MINUS in turned[1] else parse(turned[1])
        if not isinstance(inside, Uniform | LogUniform):
            raise ValueError(f"{written}; allowed: {ONE_MINUS}(uniform(a, b)), {ONE_MINUS}(loguniform(a, b))")
        return OneMinus(inside)
    call = read_call(written) if isinstance(written, str) else None
    if call is None:
        return None
    name, arguments = call
    if name not in DOMAINS:
        raise ValueError(f"unknown domain '{name}'; {one_of(name, DOMAINS)}")
    cls = DOMAINS[name]
    if issubclass(cls, Choice):
        return cls(arguments)
    expected = arguments_of(cls)
    if len(arguments) != len(expected):
        raise ValueError(f"{written} has {len(arguments)} values; allowed: {name}({', '.join(expected)})")
    domain: Domain = cls(*arguments)
    return domain


def _log_between(a: float, b: float, u: float) -> float:
    return math.exp(math.log(a) + u * (math.log(b) - math.log(a)))


def _log_share(a: float, b: float, value: float) -> float:
    return (math.log(value) - math.log(a)) / (math.log(b) - math.log(a))
