"""What a source hands over, and the checks every source's arrays go through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydnn.errors import DataError
from raydnn.spec.data import Task


@dataclass(frozen=True, eq=False)
class Arrays:
    """Checked examples: inputs (n, *features) float32; targets (n,) int64 or (n, outputs) float32."""

    inputs: NDArray[np.float32]
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


def existing_file(given: str) -> Path:
    """Return the path of a file, `~` expanded; a DataError if there is none."""
    path = Path(given).expanduser()
    if not path.is_file():
        raise DataError(
            f"{path}: {'is a folder; a file is needed' if path.is_dir() else 'there is no such file'}"
        )
    return path


def finite(values: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Return values (n, ...) as float32.

    Args:
        values: Numbers; the first axis counts the examples.
        where: File and array or column, for the message.

    Raises:
        DataError: A value is NaN or infinite, or no float32 can hold it; the message names the row, 1-based.
    """
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(values, dtype=np.float32)
    bad = ~np.isfinite(numbers)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{where}, row {first[0] + 1}: {values[first]} is given; only finite numbers are allowed"
        )
    return numbers


def class_numbers(labels: NDArray[Any], where: str, classes: int | None = None) -> NDArray[np.int64]:
    """Return labels (n,) as class numbers.

    Args:
        labels: Integers.
        where: File and array or column, for the message.
        classes: Number of classes; None: as many as there are different labels.

    Raises:
        DataError: A label lies outside 0 .. classes - 1 (its row is named, 1-based), or all are equal.
    """
    if classes is None:
        classes = count_classes(labels, where)
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        row = int(outside[0])
        raise DataError(
            f"{where}, row {row + 1}: label {labels[row]} is given; "
            f"with {classes} classes the labels 0 to {classes - 1} are allowed"
        )
    return labels.astype(np.int64)


def count_classes(labels: NDArray[Any], where: str) -> int:
    """Return the number of different labels; fewer than two are a DataError."""
    distinct = np.unique(labels)
    if distinct.size < 2:
        raise DataError(f"{where}: every label is {distinct[0]}; at least two classes are needed")
    return int(distinct.size)


def two_classes(classes: int, where: str) -> int:
    """Return the number of classes of a binary task; a DataError if it is not two."""
    if classes != 2:
        raise DataError(f"{where}: holds {classes} classes; kind: binary needs two")
    return classes


def labels(targets: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """Return targets (n, labels) that are 0 or 1 each.

    Raises:
        DataError: One is neither; the message names the row, 1-based.
    """
    return _checked(targets, (targets != 0) & (targets != 1), where, "0 or 1 for each label is needed")


def probabilities(targets: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """Return targets (n, classes) that are probabilities.

    Raises:
        DataError: One is negative, or a row's sum is not 1 (within 1e-3); the message names the row, 1-based.
    """
    _checked(targets, targets < 0, where, "a probability is at least 0")
    sums = targets.sum(axis=1, dtype=np.float64)
    return _checked(targets, np.abs(sums - 1) > 1e-3, where, "its probabilities must add up to 1")


def example_weights(weights: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """Return the weights (n,) of examples.

    Raises:
        DataError: One is negative (its row is named, 1-based), or all are 0.
    """
    _checked(weights, weights < 0, where, "a weight is at least 0")
    if not weights.any():
        raise DataError(f"{where}: every weight is 0; one above 0 is needed")
    return weights


def _checked(values: NDArray[Any], bad: NDArray[np.bool_], where: str, allowed: str) -> NDArray[Any]:
    rows = np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))
    if rows.size:
        given = values[rows[0]].tolist()
        raise DataError(f"{where}, row {rows[0] + 1}: {given} is given; {allowed}")
    return values
