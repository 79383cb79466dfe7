"""Rungs of successive halving: the epochs at which a scheduler judges."""

from __future__ import annotations

import math


def rungs(min_epochs: int, max_epochs: int, eta: float) -> tuple[int, ...]:
    """The epochs after which ASHA decides whether a trial goes on.

    min_epochs · eta^k for k = 0, 1, ..., each rounded up, as long as it is below max_epochs.

    Args:
        min_epochs: The first rung, in epochs.
        max_epochs: A trial's whole budget, in epochs; there is nothing left to decide there.
        eta: One in eta goes on.

    Returns:
        Rising epochs, each once; empty if min_epochs is max_epochs.
    """
    found: list[int] = []
    power = 0
    while (epoch := math.ceil(min_epochs * eta**power)) < max_epochs:
        if epoch not in found[-1:]:
            found.append(epoch)
        power += 1
    return tuple(found)
