"""Tokens: whole numbers from 0 on, which stand for words, letters or other things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from raydnn.errors import DataError


@dataclass(frozen=True)
class TokenRange:
    """The smallest and the largest whole number of an array (n, T), and where they stand."""

    where: str
    """The array, as messages call it."""
    smallest: int
    smallest_row: int
    """From 0."""
    largest: int
    largest_row: int

    def check(self, vocabulary: int) -> None:
        """Refuse what is no token of a vocabulary.

        Raises:
            DataError: A number is none of 0 to vocabulary − 1; its row is named.
        """
        for token, row in ((self.smallest, self.smallest_row), (self.largest, self.largest_row)):
            if not 0 <= token < vocabulary:
                raise DataError(
                    f"{self.where}, row {row + 1}: the token {token} is given; the vocabulary has {vocabulary}, "
                    f"0 to {vocabulary - 1}"
                )


def check_tokens(inputs: Tensor, vocabulary: int) -> None:
    """Refuse inputs (n, T) that are no tokens of a vocabulary; NaN is padding.

    Raises:
        DataError: A number is none of 0 to vocabulary − 1; its row is named.
    """
    known = (inputs >= 0) & (inputs < vocabulary) & (inputs == inputs.floor()) | inputs.isnan()
    if not known.all():
        row, step = (~known).nonzero()[0].tolist()
        raise DataError(
            f"row {row + 1}, step {step + 1}: the token {inputs[row, step].item():g} is given; the vocabulary has "
            f"{vocabulary}, 0 to {vocabulary - 1}"
        )


def token_range(values: NDArray[Any], where: str, absent: NDArray[np.bool_] | None = None) -> TokenRange:
    """The range of whole numbers (n, T), those that are `absent` left out; at least one is there."""
    least, most = np.iinfo(values.dtype).min, np.iinfo(values.dtype).max
    low = values if absent is None else np.where(absent, most, values)
    high = values if absent is None else np.where(absent, least, values)
    by_row = low.min(axis=1), high.max(axis=1)
    smallest, largest = int(by_row[0].argmin()), int(by_row[1].argmax())
    return TokenRange(where, int(by_row[0][smallest]), smallest, int(by_row[1][largest]), largest)
