"""Columns that are perhaps no features."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from raydnn.data.csv.oddities import tell_oddities

RANDOM = np.random.default_rng(0)


def told(**columns: np.ndarray) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        tell_oddities(np.stack(list(columns.values()), axis=1), list(columns), Path("t.csv"))
    return [str(warning.message) for warning in found]


def test_measurements_are_no_oddities() -> None:
    n = 3000
    assert told(x=RANDOM.normal(size=n), age=RANDOM.integers(18, 90, n), flag=np.arange(n) % 2) == []
    assert told(few=np.array([3, 9, 4.0]), other=np.array([1.0, 1.0, 2.0])) == []


@pytest.mark.parametrize("n", [30, 5000])
def test_constants_counts_and_ids_are_named(n: int) -> None:
    ids = RANDOM.permutation(n) * 17 + 1000
    almost = np.where(np.arange(n) == n - 1, ids[0], ids)
    found = told(
        a=np.full(n, 3.5), row=np.arange(n), line=np.arange(n) + 1.0, id=ids, almost=almost, b=np.zeros(n)
    )
    assert found == [
        "t.csv: columns 'a', 'b': constant; it tells nothing",
        "t.csv: columns 'row', 'line': counts the rows; an index is no feature, leave it out of the file",
        "t.csv: column 'id': a different integer in every row; an id is no feature, leave it out of the file",
    ]


def test_many_columns_are_one_line() -> None:
    (line,) = told(**{f"pixel{n}": np.zeros(4) for n in range(784)})
    assert line.startswith(
        "t.csv: columns 'pixel0', 'pixel1', 'pixel2', 'pixel3', 'pixel4' and 779 more: constant"
    )
