"""Columns that are perhaps no features: one that never changes, one that counts the rows, one that names them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydnn.spec.reading.problems import show

_NAMED = 5
"""Columns that a message lists."""
_FEWEST_ROWS = 20
"""In fewer rows all values of a measurement may well differ."""
_SAMPLE = 1000
"""Rows that rule most columns out."""
_SAMPLED_NUMBERS = 2**22


def tell_oddities(inputs: NDArray[Any], names: Sequence[str], path: Path) -> None:
    """Warn of columns that tell nothing about the target, or too much.

    Args:
        inputs: (n, columns).
        names: The columns' names.
        path: The file they come from.
    """
    rows = max(3, min(_SAMPLE, _SAMPLED_NUMBERS // max(1, inputs.shape[1])))
    found: dict[str, list[str]] = {}
    taken = np.zeros(len(names), dtype=bool)
    for what, holds in _ODDITIES.items():
        for number in np.flatnonzero(holds(inputs[:rows]) & ~taken).tolist():
            if holds(inputs[:, number : number + 1])[0]:
                found.setdefault(what, []).append(names[number])
                taken[number] = True
    for what, of in found.items():
        listed = ", ".join(show(name) for name in of[:_NAMED])
        more = f" and {len(of) - _NAMED} more" if len(of) > _NAMED else ""
        warnings.warn(f"{path}: column{'s' if len(of) > 1 else ''} {listed}{more}: {what}", stacklevel=3)


def _constant(columns: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((columns == columns[0]).all(axis=0) & (len(columns) > 1))


def _counts(columns: NDArray[Any]) -> NDArray[np.bool_]:
    begins = np.isin(columns[0], (0, 1)) & (len(columns) > 2)
    return np.asarray(begins & (np.diff(columns, axis=0) == 1).all(axis=0))


def _names_rows(columns: NDArray[Any]) -> NDArray[np.bool_]:
    differ = (np.diff(np.sort(columns, axis=0), axis=0) > 0).all(axis=0)
    return np.asarray(differ & (columns == np.floor(columns)).all(axis=0) & (len(columns) >= _FEWEST_ROWS))


_ODDITIES: dict[str, Callable[[NDArray[Any]], NDArray[np.bool_]]] = {
    "constant; it tells nothing": _constant,
    "counts the rows; an index is no feature, leave it out of the file": _counts,
    "a different integer in every row; an id is no feature, leave it out of the file": _names_rows,
}
"""What a warning says → which of columns (n, columns) are so: (columns,)."""
