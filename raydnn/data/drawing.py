"""Drawing a part of the examples at random, the same share of every class.

The draws are those of scikit-learn's `train_test_split`, number by number; importing it takes as long as a small
sweep's training (1.7 s), in every command that reads data.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def draw(
    examples: int,
    fraction: float,
    seed: int,
    classes: Rows | None = None,
    names: Sequence[object] | None = None,
) -> tuple[Rows, Rows]:
    """Draw ⌈fraction · n⌉ of n examples.

    Args:
        examples: n.
        fraction: Between 0 and 1.
        seed: Seed of the draws, below 2³².
        classes: The class of each example (n,), to draw the same share of each; None: draw from all alike.
        names: What a message calls the classes, in the order of their numbers; None: by these numbers.

    Returns:
        The rows that were not drawn and those that were, both rising.

    Raises:
        ValueError: None would be left, or a class would be missing in one of the two.
    """
    drawn = ceil(fraction * examples)
    if drawn >= examples:
        raise ValueError(f"{drawn} would be drawn, none would be left")
    random = np.random.RandomState(seed)
    chosen = np.zeros(examples, dtype=bool)
    if classes is None:
        chosen[random.permutation(examples)[:drawn]] = True
    else:
        for own, kept in _kept_of_classes(classes, examples - drawn, random, names):
            chosen[own[random.permutation(len(own))[kept:]]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _kept_of_classes(
    classes: Rows, kept: int, random: np.random.RandomState, names: Sequence[object] | None
) -> list[tuple[Rows, int]]:
    """The rows of each class, and how many of them are not drawn."""
    numbers, counts = np.unique(classes, return_counts=True)
    if counts.min() < 2:
        lonely = int(numbers[counts.argmin()])
        raise ValueError(f"class {lonely if names is None else repr(names[lonely])} has one example only")
    if min(kept, len(classes) - kept) < len(numbers):
        raise ValueError(f"there are {len(numbers)} classes, and fewer examples in one of the two parts")
    shares = _apportion(counts, kept, random)
    _apportion(counts - shares, len(classes) - kept, random)  # its draws are made there, too
    return [
        (np.flatnonzero(classes == number), int(share)) for number, share in zip(numbers, shares, strict=True)
    ]


def _apportion(counts: Rows, total: int, random: np.random.RandomState) -> Rows:
    """Spread a total over classes as their counts are: the largest remainders are rounded up, ties are drawn."""
    exact = counts / counts.sum() * total
    shares: Rows = np.floor(exact).astype(np.int64)
    missing = total - int(shares.sum())
    remainders = exact - shares
    for remainder in np.unique(remainders)[::-1]:
        if missing == 0:
            break
        tied = np.flatnonzero(remainders == remainder)
        raised = random.choice(tied, size=min(len(tied), missing), replace=False)
        shares[raised] += 1
        missing -= len(raised)
    return shares
