"""Padding of the sequences in an archive's arrays, told by their lengths or by a token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydnn.data.sources.raw import Array
from raydnn.data.tokens import TokenRange, token_range
from raydnn.errors import DataError


@dataclass
class Steps:
    """What the archive's sequences have of tokens and padding."""

    path: Path
    padding: int | None
    padded: bool = False
    """Whether a part has padding."""

    def take(self, arrays: dict[str, NDArray[Any]], prefix: str) -> TokenRange | None:
        """Take a part's lengths out, and put `absent` (n, T) in for the steps that are not there.

        Args:
            arrays: Those of the archive.
            prefix: `test_` of the test part.

        Returns:
            The range of its tokens; None where its inputs are none.

        Raises:
            DataError: Lengths are no lengths of its sequences, or padding stands before a token.
        """
        inputs, where = arrays[f"{prefix}inputs"], Array(self.path, f"{prefix}inputs")
        lengths = arrays.pop(f"{prefix}lengths", None)
        tokens = inputs.ndim == 2 and inputs.dtype.kind in "iu" and inputs.size > 0
        if self.padding is not None and not tokens:
            raise DataError(
                f"{where}: data.padding is given, which fills up tokens; whole numbers (n, T) are needed"
            )
        absent = None
        if lengths is not None:
            if self.padding is not None:
                raise DataError(
                    f"{where}: data.padding and the array '{prefix}lengths' are both there; one can be"
                )
            absent = _after(lengths, inputs, tokens, Array(self.path, f"{prefix}lengths"))
            arrays[f"{prefix}absent"] = absent
        elif self.padding is not None:
            absent = inputs == self.padding
            _check_behind(absent, self.padding, where)
        self.padded = self.padded or absent is not None
        return token_range(inputs, str(where), absent) if tokens else None


def _after(lengths: NDArray[Any], inputs: NDArray[Any], tokens: bool, where: Array) -> NDArray[np.bool_]:
    """Which steps (n, T) come after the last one of a sequence."""
    if not tokens and inputs.ndim != 3:
        raise DataError(
            f"{where}: there are lengths, but the inputs have the shape {inputs.shape}; sequences (n, T, F), or tokens "
            "(n, T), are needed"
        )
    if lengths.dtype.kind not in "iu" or lengths.shape != inputs.shape[:1]:
        raise DataError(
            f"{where}: holds {lengths.dtype} of shape {lengths.shape}; whole numbers ({len(inputs)},) are needed"
        )
    wrong = np.flatnonzero((lengths < 1) | (lengths > inputs.shape[1]))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(f"{where.at(row)}: {lengths[row]} is given; 1 to {inputs.shape[1]} steps are allowed")
    return np.asarray(np.arange(inputs.shape[1]) >= lengths[:, None])


def _check_behind(absent: NDArray[np.bool_], padding: int, where: Array) -> None:
    """Refuse padding before a token, and rows of nothing else."""
    empty = np.flatnonzero(absent[:, 0])
    if empty.size:
        raise DataError(f"{where.at(int(empty[0]))}: begins with {padding}, which is padding (data.padding)")
    inside = np.flatnonzero((absent[:, :-1] & ~absent[:, 1:]).any(axis=1))
    if inside.size:
        raise DataError(
            f"{where.at(int(inside[0]))}: a token comes after {padding}, which is padding (data.padding); allowed "
            "at the end only"
        )
