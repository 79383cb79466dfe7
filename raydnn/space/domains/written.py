"""What all domains share: they are printed as a job file writes them, and their arguments are checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from raydnn.space.domains.syntax import Value, write_value


class Written:
    """A domain is printed as a job file writes it."""

    def __str__(self) -> str:
        arguments = ", ".join(write_value(getattr(self, name)) for name in arguments_of(type(self)))
        return f"{name_of(type(self))}({arguments})"


class Continuous(Written):
    """A domain without a list of values."""

    def size(self) -> int | None:
        return None

    def values(self) -> Sequence[Value]:
        raise ValueError(f"{self} is continuous; it has no list of values")


def name_of(cls: type[Any]) -> str:
    """The name of a domain in a job file."""
    return cls.__name__.lower()


def arguments_of(cls: type[Any]) -> list[str]:
    """The names of what stands between the parentheses."""
    return [item.name for item in fields(cls) if item.metadata.get("written", True)]


def _numbers(domain: Written) -> dict[str, Any]:
    return {name: getattr(domain, name) for name in arguments_of(type(domain))}


def check_numbers(domain: Written) -> None:
    """Every argument is a finite number."""
    for name, value in _numbers(domain).items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise ValueError(f"{domain} has {write_value(value)} for {name}; allowed: a number")


def check_integers(domain: Written) -> None:
    """Every argument is a whole number."""
    for name, value in _numbers(domain).items():
        if type(value) is not int:
            raise ValueError(f"{domain} has {write_value(value)} for {name}; allowed: a whole number")


def check_order(domain: Written, a: float, b: float) -> None:
    """The lower end is below the upper one."""
    if not a < b:
        raise ValueError(
            f"{domain} has the lower end {a} and the upper end {b}; the lower must be below the upper"
        )


def check_positive(domain: Written, a: float) -> None:
    """A logarithm of the lower end exists."""
    if a <= 0:
        raise ValueError(f"{domain} begins at {a}; a range on a log scale must begin above 0")


def quantile(u: float) -> float:
    """The nearest number in [0, 1)."""
    return min(max(u, 0.0), math.nextafter(1, 0))
