"""Which domains have an order, so that a step from one value to a better one means something."""

from __future__ import annotations

from itertools import pairwise

from raydnn.space.domains.domain import Choice, Domain


def ordered(domain: Domain) -> bool:
    """Whether a domain is a range, or a choice of numbers written in rising or falling order."""
    if not isinstance(domain, Choice):
        return True
    numbers = [option for option in domain.options if type(option) in (int, float)]
    if len(numbers) < len(domain.options):
        return False
    rises = {b > a for a, b in pairwise(numbers)}  # type: ignore[operator] # numbers only
    return len(rises) < 2
