"""What a source hands over, and the checks every source's arrays go through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from raydnn.data.named import Named
from raydnn.data.tokens import TokenRange
from raydnn.errors import DataError
from raydnn.spec.data import Label, Task

_CHUNK_BYTES = 2**25
_LOST = 1e-6
"""Share of a feature's range that rounding to float32 may move a number by; more would show once it is scaled."""
_LARGEST = float(np.finfo(np.float32).max)


class RowPlace(Protocol):
    """Where values stand, for messages."""

    def at(self, row: int) -> str:
        """Where one of them stands; rows are counted from 0."""

    def given(self, row: int) -> str | None:
        """How one of them is written, where it is text."""


@dataclass(frozen=True)
class Array:
    """An array of an archive, as messages call it."""

    path: Path
    name: str

    def __str__(self) -> str:
        return f"{self.path}, array '{self.name}'"

    def at(self, row: int) -> str:
        """One of its rows."""
        return f"{self}, row {row + 1}"

    def given(self, _row: int) -> str | None:
        """Nothing: it holds numbers."""
        return None


@dataclass(frozen=True, eq=False)
class Arrays:
    """Checked examples: inputs (n, *features); targets (n,) int64 or (n, outputs) float64 or float32.

    Where inputs are learned, targets may be (n, 0).
    """

    inputs: NDArray[Any]
    """float32; float64 where float32 would lose digits that scaling brings out."""
    targets: NDArray[Any]
    weights: NDArray[np.float32] | None = None
    """(n,): weight of each example in the training loss."""


@dataclass(frozen=True, eq=False)
class Raw:
    """A data set as its source has it: not split any further, not scaled."""

    train: Arrays
    test: Arrays | None
    classes: int
    """Number of classes; 0 where the targets are not class numbers."""
    task: Task
    class_names: tuple[Label, ...] | None = None
    """What the data call the classes, in the order of their numbers; None: by these numbers."""
    feature_names: tuple[str, ...] | None = None
    """What the data call the features; None: they have no names."""
    feature_types: tuple[str, ...] = ("number",)
    """`number` or `boolean` of each named feature; of an input without names what it is: `number` or `picture`."""
    target_names: tuple[str, ...] | None = None
    """What the data call the targets; None: they have no names."""
    tokens: tuple[TokenRange, ...] = ()
    """Where inputs are whole numbers (n, T), which may be tokens: those of training, and of a test part."""
    padding: int | None = None
    """The token that is none, but padding."""
    padded: bool = False
    """Whether steps of sequences may be padding; it is NaN in inputs that are numbers."""
    named: Named = ()
    """Several inputs that lie side by side in rows; none: they are one without a name."""


def without_targets(inputs: NDArray[Any]) -> Arrays:
    """Checked inputs (n, *features) as examples without a target."""
    return Arrays(inputs, np.empty((len(inputs), 0), np.float32))


def finite(values: NDArray[Any], where: RowPlace) -> NDArray[np.float32]:
    """Return values (n, ...) as float32.

    Args:
        values: Numbers; the first axis counts the examples.
        where: File and array or column, for the message.

    Raises:
        DataError: A value is NaN or infinite, or no float32 can hold it; the message names the row.
    """
    check_finite(values, where)
    return np.ascontiguousarray(values, dtype=np.float32)


def precise(values: NDArray[Any], where: RowPlace, least: Any = np.float32) -> NDArray[Any]:
    """Return values (n, *features) in the precision that scaling needs.

    Args:
        values: Numbers; the first axis counts the examples.
        where: File and array or column, for the message.
        least: float64 where it is needed anyway.

    Returns:
        float32, or float64 where float32 would lose digits that scaling brings out.

    Raises:
        DataError: As `finite`.
    """
    check_finite(values, where)
    double = least == np.float64 or digits_lost(values).any()
    return np.ascontiguousarray(values, dtype=np.float64 if double else np.float32)


def digits_lost(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which features of values (n, *features) float32 holds too coarsely for what they differ by: (*features,)."""
    features = values.shape[1:]
    if np.can_cast(values.dtype, np.float32):
        return np.zeros(features, dtype=bool)
    low, high, error = np.full(features, np.inf), np.full(features, -np.inf), np.zeros(features)
    for chunk in _chunks(values):
        doubles = chunk.astype(np.float64, copy=False)
        np.minimum(low, doubles.min(axis=0), out=low)
        np.maximum(high, doubles.max(axis=0), out=high)
        moved = np.abs(doubles - doubles.astype(np.float32))
        np.maximum(error, moved.max(axis=0), out=error)
    return np.asarray(error > _LOST * (high - low)) & (high > low)


def perhaps_lost(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For which features of rounded values (n, columns) `digits_lost` has to be asked of the exact ones."""
    low, high = values.min(axis=0), values.max(axis=0)
    largest = np.maximum(np.abs(low), np.abs(high))
    coarse = np.spacing(largest) / 2 > _LOST * (high.astype(np.float64) - low)
    whole = (largest < 2**23) & (values == np.floor(values)).all(axis=0)
    return np.asarray(coarse & (largest > 0) & ~(whole & (high > low)))


def check_finite(values: NDArray[Any], where: RowPlace) -> None:
    """Refuse what is no finite float32; a DataError names its row."""
    if values.dtype.kind in "iub":
        return
    before = 0
    for chunk in _chunks(values):
        bad = unfit(chunk)
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            row = before + first[0]
            given = where.given(row) or str(chunk[first])
            known = np.isfinite(chunk[first]) or given.strip("+-").lower() not in ("nan", "inf", "infinity")
            allowed = (
                f"too large: numbers up to {_LARGEST:.1e} are read"
                if known
                else "only finite numbers are allowed"
            )
            raise DataError(f"{where.at(row)}: {given} is given; {allowed}")
        before += len(chunk)


def unfit(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are no finite float32."""
    with np.errstate(over="ignore"):
        return ~np.isfinite(values.astype(np.float32, copy=False))


def _chunks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Rows whose temporary copies are small beside the whole."""
    rows = max(1, _CHUNK_BYTES // max(1, values[:1].nbytes))
    return (values[start : start + rows] for start in range(0, len(values), rows))


def two_classes(classes: int, where: RowPlace) -> int:
    """Return the number of classes of a binary task; a DataError if it is not two."""
    if classes != 2:
        raise DataError(f"{where}: holds {classes} classes; kind: binary needs two")
    return classes


def labels(targets: NDArray[np.float32], where: RowPlace) -> NDArray[np.float32]:
    """Return targets (n, labels) that are 0 or 1 each.

    Raises:
        DataError: One is neither; the message names the row, 1-based.
    """
    return _checked(targets, (targets != 0) & (targets != 1), where, "0 or 1 for each label is needed")


def probabilities(targets: NDArray[np.float32], where: RowPlace) -> NDArray[np.float32]:
    """Return targets (n, classes) that are probabilities.

    Raises:
        DataError: One is negative, or a row's sum is not 1 (within 1e-3); the message names the row, 1-based.
    """
    _checked(targets, targets < 0, where, "a probability is at least 0")
    sums = targets.sum(axis=1, dtype=np.float64)
    return _checked(targets, np.abs(sums - 1) > 1e-3, where, "its probabilities must add up to 1")


def example_weights(weights: NDArray[np.float32], where: RowPlace) -> NDArray[np.float32]:
    """Return the weights (n,) of examples.

    Raises:
        DataError: One is negative (its row is named, 1-based), or all are 0.
    """
    _checked(weights, weights < 0, where, "a weight is at least 0")
    if not weights.any():
        raise DataError(f"{where}: every weight is 0; one above 0 is needed")
    return weights


def _checked(values: NDArray[Any], bad: NDArray[np.bool_], where: RowPlace, allowed: str) -> NDArray[Any]:
    rows = np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))
    if rows.size:
        given = values[rows[0]].tolist()
        raise DataError(f"{where.at(int(rows[0]))}: {given} is given; {allowed}")
    return values
