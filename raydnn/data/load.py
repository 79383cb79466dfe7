"""From the spec of a data set to its parts in memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from raydnn.data.dataset import Dataset, Split
from raydnn.data.drawing import draw
from raydnn.data.raw import Arrays
from raydnn.data.scaling import ScalingState, fit
from raydnn.data.sources import SOURCES
from raydnn.errors import JobError, Problem
from raydnn.spec.data import Csv, DataSet, Digits, Npz, Task


def load_dataset(spec: DataSet) -> Dataset:
    """Read a data set, split it, and scale every part as the training part says.

    A test part that is drawn is drawn first; the validation part then comes from what is left for training.
    Drawn parts keep the order of the source and depend on `spec.split_seed` alone.

    Raises:
        DataError: The data is missing or damaged.
        JobError: The splits that the spec asks for cannot be made from this data.
    """
    raw = SOURCES[spec.name](spec)
    train, test = raw.train, raw.test
    test_fraction = spec.test_fraction if isinstance(spec, Digits | Csv | Npz) else None
    if test_fraction is not None:
        if test is not None:
            raise _job_error("test_fraction", f"{test_fraction} is given; the data has a test set of its own")
        train, test = _draw(train, test_fraction, spec.split_seed, raw.task, "test_fraction")
    if spec.validation is not None:
        train, validation = _first(train, spec.validation)
    else:
        assert spec.validation_fraction is not None, "the spec demands one of the two"
        train, validation = _draw(
            train, spec.validation_fraction, spec.split_seed, raw.task, "validation_fraction"
        )

    scaling = fit(spec.scaling, torch.from_numpy(train.inputs))
    return Dataset(
        _split(train, scaling),
        _split(validation, scaling),
        None if test is None else _split(test, scaling),
        raw.classes,
        raw.task,
        scaling,
    )


def _split(arrays: Arrays, scaling: ScalingState) -> Split:
    weights = None if arrays.weights is None else torch.from_numpy(arrays.weights)
    return Split(scaling.apply(torch.from_numpy(arrays.inputs)), torch.from_numpy(arrays.targets), weights)


def _first(arrays: Arrays, count: int) -> tuple[Arrays, Arrays]:
    """Return the examples after the first `count`, and the first `count`."""
    n = len(arrays.targets)
    if count >= n:
        raise _job_error(
            "validation", f"{count} is given; with {n} training examples less than {n} is allowed"
        )
    return _take(arrays, slice(count, n)), _take(arrays, slice(count))


def _draw(arrays: Arrays, fraction: float, seed: int, task: Task, field: str) -> tuple[Arrays, Arrays]:
    """Return the examples not drawn and those drawn, class by class where there are classes."""
    n = len(arrays.targets)
    try:
        kept, drawn = draw(
            n, fraction, seed, arrays.targets if task in ("classification", "binary") else None
        )
    except ValueError as error:
        raise _job_error(
            field, f"{fraction} is given and cannot be drawn from {n} examples: {error}"
        ) from None
    return _take(arrays, kept), _take(arrays, drawn)


def _take(arrays: Arrays, rows: NDArray[np.int64] | slice) -> Arrays:
    weights = None if arrays.weights is None else arrays.weights[rows]
    return Arrays(arrays.inputs[rows], arrays.targets[rows], weights)


def _job_error(field: str, message: str) -> JobError:
    return JobError([Problem("", f"data.{field}", message)])
