"""From the spec of a data set to its parts in memory."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raydnn.data.baseline import baseline, tell_lacking_classes
from raydnn.data.dataset import Dataset, Split
from raydnn.data.drawing import draw
from raydnn.data.scaling import ScalingState, fit
from raydnn.data.sources.raw import Arrays, Raw, digits_lost
from raydnn.data.sources.registry import SOURCES
from raydnn.data.targets import TargetScale, fit_targets
from raydnn.errors import DataError, JobError, Problem
from raydnn.secrets import hide, is_secret, revealed
from raydnn.spec.data import Csv, DataSet, Digits, Npz
from raydnn.spec.reading.problems import show

_FEW_LONE = 0.01
"""Share of the examples that may be the only ones of their class."""


def load_dataset(spec: DataSet) -> Dataset:
    """Read a data set, split it, and scale every part as the training part says.

    A test part that is drawn is drawn first; the validation part then comes from what is left for training.
    Drawn parts keep the order of the source and depend on `spec.split_seed` alone.

    Raises:
        DataError: The data is missing or damaged.
        JobError: The splits that the spec asks for cannot be made from this data, or a secret of it is not there.
    """
    secrets = {name: value for name, value in spec if is_secret(value)}
    try:
        return _load(
            spec.model_copy(update={k: revealed(value, f"data.{k}") for k, value in secrets.items()})
        )
    except Exception as error:
        hide(error)
        raise


def _load(spec: DataSet) -> Dataset:
    try:
        raw = SOURCES[spec.name](spec)
    except DataError as error:
        raise _of_field(spec, error) from error
    train, test = raw.train, raw.test
    test_fraction = spec.test_fraction if isinstance(spec, Digits | Csv | Npz) else None
    if test_fraction is not None:
        if test is not None:
            raise _job_error("test_fraction", f"{test_fraction} is given; the data has a test set of its own")
        train, test = _draw(train, test_fraction, spec.split_seed, raw, "test_fraction")
    if spec.validation is not None:
        train, validation = _first(train, spec.validation)
    else:
        assert spec.validation_fraction is not None, "the spec demands one of the two"
        train, validation = _draw(
            train, spec.validation_fraction, spec.split_seed, raw, "validation_fraction"
        )

    _tell_lost_digits(spec.scaling.name, train, raw)
    scaling = fit(spec.scaling, _tensor(train.inputs))
    target_scale = None
    if raw.task == "regression" and isinstance(spec, Csv | Npz):
        target_scale = fit_targets(spec.target_scaling, train.targets)
    dataset = Dataset(
        _split(train, scaling, target_scale),
        _split(validation, scaling, target_scale),
        None if test is None else _split(test, scaling, target_scale),
        raw.classes,
        raw.task,
        scaling,
        class_names=raw.class_names,
        feature_names=raw.feature_names,
        target_scale=target_scale,
    )
    tell_lacking_classes(dataset)
    return replace(dataset, baseline=baseline(dataset))


def _of_field(spec: DataSet, error: DataError) -> DataError:
    """The error with the field that names the file, where the file as a whole is wrong."""
    for name in ("path", "test_path"):
        path = getattr(spec, name, None)
        if path is not None and str(error).startswith(f"{path}: "):
            return DataError(str(error), field=f"data.{name}", path=path)
    return error


def _split(arrays: Arrays, scaling: ScalingState, target_scale: TargetScale | None) -> Split:
    weights = None if arrays.weights is None else _tensor(arrays.weights)
    targets = _tensor(target_scale.apply(arrays.targets) if target_scale else arrays.targets)
    return Split(
        scaling.apply(_tensor(arrays.inputs)),
        targets.float() if targets.is_floating_point() else targets,
        weights,
    )


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """The same numbers as a tensor, in the same memory where that may be written to, as torch asks."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _tell_lost_digits(scaling: str, train: Arrays, raw: Raw) -> None:
    """Warn where float32 cannot hold what inputs differ by and the scaling does not bring it out."""
    if train.inputs.dtype == np.float64 and scaling in ("none", "unit"):
        lost = int(digits_lost(train.inputs).argmax())
        feature = f"column '{raw.feature_names[lost]}'" if raw.feature_names else f"feature {lost}"
        warnings.warn(
            f"data.scaling: {scaling}: the numbers of {feature} differ by less than float32 holds at their size; "
            "standardize keeps their digits",
            stacklevel=2,
        )


def _first(arrays: Arrays, count: int) -> tuple[Arrays, Arrays]:
    """Return the examples after the first `count`, and the first `count`."""
    n = len(arrays.targets)
    if count >= n:
        raise _job_error(
            "validation", f"{count} is given; with {n} training examples less than {n} is allowed"
        )
    return _take(arrays, slice(count, n)), _take(arrays, slice(count))


def _draw(arrays: Arrays, fraction: float, seed: int, raw: Raw, field: str) -> tuple[Arrays, Arrays]:
    """Return the examples not drawn and those drawn, class by class where there are classes."""
    n = len(arrays.targets)
    lone = _lone(arrays.targets, raw, field) if raw.classes else np.empty(0, np.int64)
    rows = np.delete(np.arange(n), lone)
    classes = arrays.targets[rows] if raw.classes else None
    try:
        kept, drawn = draw(len(rows), fraction, seed, classes, raw.class_names)
    except ValueError as error:
        raise _job_error(
            field, f"{fraction} is given and cannot be drawn from {n} examples: {error}"
        ) from None
    return _take(arrays, np.sort(np.concatenate([rows[kept], lone]))), _take(arrays, rows[drawn])


def _lone(targets: NDArray[np.int64], raw: Raw, field: str) -> NDArray[np.int64]:
    """The rows of classes with one example, where they are few: they are not drawn, and that is told."""
    numbers, first, counts = np.unique(targets, return_index=True, return_counts=True)
    lone = np.flatnonzero(counts == 1)
    if not 0 < len(lone) <= len(targets) * _FEW_LONE:
        return np.empty(0, np.int64)
    name = numbers[lone[0]] if raw.class_names is None else show(raw.class_names[numbers[lone[0]]])
    which = f"class {name} has" if len(lone) == 1 else f"{len(lone)} classes, such as {name}, have"
    warnings.warn(f"data.{field}: {which} one example only, which stays in the training part", stacklevel=2)
    return first[lone]


def _take(arrays: Arrays, rows: NDArray[np.int64] | slice) -> Arrays:
    weights = None if arrays.weights is None else arrays.weights[rows]
    return Arrays(arrays.inputs[rows], arrays.targets[rows], weights)


def _job_error(field: str, message: str) -> JobError:
    return JobError([Problem("", f"data.{field}", message)])
