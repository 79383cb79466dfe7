"""Rungs and brackets of successive halving: the epochs at which a scheduler judges."""

from __future__ import annotations

import math
from dataclasses import dataclass


def rungs(min_epochs: int, max_epochs: int, eta: float, bracket: int = 0) -> tuple[int, ...]:
    """The epochs after which ASHA decides whether a trial goes on.

    min_epochs · eta^(bracket + k) for k = 0, 1, ..., each rounded up, as long as it is below max_epochs.

    Args:
        min_epochs: The first rung of bracket 0, in epochs.
        max_epochs: A trial's whole budget, in epochs; there is nothing left to decide there.
        eta: One in eta goes on.
        bracket: The bracket, from 0.

    Returns:
        Rising epochs, each once; empty if the first would be max_epochs.
    """
    found: list[int] = []
    power = bracket
    while (epoch := math.ceil(min_epochs * eta**power)) < max_epochs:
        if epoch not in found[-1:]:
            found.append(epoch)
        power += 1
    return tuple(found)


@dataclass(frozen=True)
class Bracket:
    """A bracket of Hyperband."""

    trials: int
    """How many begin."""
    rungs: tuple[int, ...]
    """Rising epochs after which one in eta goes on."""


def hyperband_brackets(max_epochs: int, eta: float) -> list[Bracket]:
    """The brackets of Hyperband as Ray Tune has them, s = 0 (no rung) first.

    S = round(log max_epochs / log eta); bracket s holds ⌈(S + 1) / (s + 1) · eta^s⌉ trials, and its rungs are
    max_epochs · eta^(k − s) epochs for k = 0, ..., s − 1, each rounded down. One whose first rung would be at
    0 epochs is left out (Li et al. 2018).

    Args:
        max_epochs: A trial's whole budget, in epochs.
        eta: One in eta goes on.
    """
    most = round(math.log(max_epochs) / math.log(eta))
    found = []
    for s in range(most + 1):
        # Rounded as in Ray's class: it decides, and its rungs must be these.
        epoch = int(max_epochs * eta ** (-s))
        if epoch == 0:
            continue
        epochs: list[int] = []
        for _ in range(s):
            if epoch not in epochs:
                epochs.append(epoch)
            epoch = int(min(epoch * eta, max_epochs))
        found.append(Bracket(math.ceil((most + 1) / (s + 1) * eta**s), tuple(epochs)))
    return found
