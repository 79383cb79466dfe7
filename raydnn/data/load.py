"""From the spec of a data set to its parts in memory."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raydnn.data.baseline import baseline, tell_lacking_classes
from raydnn.data.dataset import Dataset
from raydnn.data.drawing import draw
from raydnn.data.in_memory import InMemory
from raydnn.data.named import numbers_of
from raydnn.data.preparation import Preparation, as_tensor
from raydnn.data.scaling import ScalingState, fit, fit_some
from raydnn.data.sources.raw import Arrays, Raw, digits_lost
from raydnn.data.sources.registry import SOURCES
from raydnn.data.targets import fit_targets
from raydnn.errors import DataError, JobError, job_error
from raydnn.secrets import hide, is_secret, revealed
from raydnn.spec.data import Csv, DataSet, Npz
from raydnn.spec.reading.problems import show
from raydnn.spec.scaling import Fitted

_FEW_LONE = 0.01
"""Share of the examples that may be the only ones of their class."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a data set as its source has them, not prepared."""

    train: Arrays
    validation: Arrays
    test: Arrays | None
    source: Raw
    """What the source says of them; its arrays are those before validation and test were taken out."""

    @property
    def named(self) -> dict[str, Arrays]:
        """The parts by name; `test` only where there is one."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}


@lru_cache(maxsize=2)
def read_dataset(spec: DataSet, device: torch.device) -> Dataset:
    """A data set, read once a process however many stacks it trains; who drives it has told what is odd in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return load_dataset(spec).to(device)


def load_dataset(spec: DataSet) -> Dataset:
    """Read a data set, split it, and prepare every part as the training part says.

    Raises:
        DataError: The data is missing or damaged.
        JobError: The splits that the spec asks for cannot be made from this data, or a secret of it is not there.
    """
    parts = _read(spec)
    if isinstance(parts, Dataset):
        if parts.task != spec.learns:
            raise _job_error(
                "reconstruct", f"true, but {spec.name} says itself what is learned; allowed: false"
            )
        return parts
    _tell_lost_digits(spec.scaling.name, parts.train, parts.source)
    preparation = fit_preparation(spec, parts)
    dataset = Dataset(
        prepare(parts.train, preparation),
        prepare(parts.validation, preparation),
        None if parts.test is None else prepare(parts.test, preparation),
        preparation,
        parts.source.tokens,
    )
    tell_lacking_classes(dataset)
    return replace(dataset, baseline=baseline(dataset))


def read_parts(spec: DataSet) -> Parts:
    """Read a data set and split it.

    A test part that is drawn is drawn first; the validation part then comes from what is left for training.
    Drawn parts keep the order of the source and depend on `spec.split_seed` alone.

    Raises:
        DataError: The data is missing or damaged, or its source has no raw parts.
        JobError: The splits that the spec asks for cannot be made from this data, or a secret of it is not there.
    """
    parts = _read(spec)
    if isinstance(parts, Dataset):
        raise DataError(f"data.name: {spec.name} prepares its examples itself; there are no raw ones")
    return parts


def _read(spec: DataSet) -> Parts | Dataset:
    """What the source has, split; its secrets are in nothing that is told."""
    secrets = {name: value for name, value in spec if is_secret(value)}
    try:
        revealing = spec.model_copy(update={k: revealed(value, f"data.{k}") for k, value in secrets.items()})
        source = _source(revealing)
        return source if isinstance(source, Dataset) else _split(revealing, source)
    except Exception as error:
        hide(error)
        raise


def _source(spec: DataSet) -> Raw | Dataset:
    try:
        return SOURCES[spec.name](spec)
    except DataError as error:
        raise _of_field(spec, error) from error


def _split(spec: DataSet, raw: Raw) -> Parts:
    train, test = raw.train, raw.test
    test_fraction: float | None = getattr(spec, "test_fraction", None)
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
    return Parts(train, validation, test, raw)


def fit_preparation(spec: DataSet, parts: Parts) -> Preparation:
    """Fit what the examples go through on the training part.

    Raises:
        JobError: The inputs cannot be scaled as the spec asks.
    """
    raw = parts.source
    fitted = parts.train.inputs.shape[1:], _fitted_scaling(spec, parts)
    if spec.reconstruct:
        names, types = raw.feature_names, raw.feature_types
        return Preparation("reconstruction", *fitted, 0, feature_names=names, feature_types=types)
    target_scale = None
    if raw.task == "regression" and isinstance(spec, Csv | Npz):
        target_scale = fit_targets(spec.target_scaling, parts.train.targets)
    takes_tokens = bool(raw.tokens) and spec.scaling.name == "none"
    return Preparation(
        raw.task,
        *fitted,
        raw.classes,
        raw.class_names,
        raw.feature_names,
        raw.feature_types,
        raw.target_names,
        target_scale,
        raw.tokens[0].largest + 1 if takes_tokens else None,
        raw.padding,
        raw.padded,
        raw.named,
    )


def _fitted_scaling(spec: DataSet, parts: Parts) -> ScalingState:
    """The scaling fitted on the training part; whole numbers among inputs by name are not scaled."""
    inputs, named, name = _fitted_on(spec, parts), parts.source.named, spec.scaling.name
    if not named or name == "none":
        return fit(spec.scaling, inputs)
    if name == "whiten":
        allowed = "none, unit, minmax, center, standardize"
        raise _job_error("scaling", f"whiten with inputs by name, which are not mixed; allowed: {allowed}")
    return fit_some(spec.scaling, inputs, numbers_of(named))


def _fitted_on(spec: DataSet, parts: Parts) -> Tensor:
    """What a scaling is fitted on: the training inputs, or all steps (m, F) of padded sequences that are there."""
    inputs = as_tensor(parts.train.inputs)
    name = spec.scaling.name
    if not parts.source.padded or name == "none":
        return inputs
    if parts.source.tokens or name == "whiten":
        what = "tokens" if parts.source.tokens else "padded sequences"
        allowed = "none" if parts.source.tokens else "none, unit, minmax, center, standardize"
        raise _job_error("scaling", f"{name} with {what}; allowed: {allowed}")
    if isinstance(spec.scaling, Fitted) and spec.scaling.per == "channel":
        raise _job_error("scaling.per", "channel with padded sequences, which have none; allowed: feature")
    return inputs[~inputs[..., 0].isnan()]


def prepare(arrays: Arrays, preparation: Preparation) -> InMemory:
    """A part as a network gets it.

    Raises:
        DataError: Its inputs have another shape than those that the preparation was fitted on.
    """
    learns_inputs = preparation.task == "reconstruction"
    return InMemory(
        preparation.inputs(arrays.inputs),
        None if learns_inputs else preparation.targets(arrays.targets),
        None if arrays.weights is None else as_tensor(arrays.weights),
    )


def _of_field(spec: DataSet, error: DataError) -> DataError:
    """The error with the field that names the file, where the file as a whole is wrong."""
    for name in ("path", "test_path"):
        path = getattr(spec, name, None)
        if path is not None and str(error).startswith(f"{path}: "):
            return DataError(str(error), field=f"data.{name}", path=path)
    return error


def _tell_lost_digits(scaling: str, train: Arrays, raw: Raw) -> None:
    """Warn where float32 cannot hold what inputs differ by and the scaling does not bring it out."""
    if train.inputs.dtype == np.float64 and scaling in ("none", "unit"):
        lost = int(digits_lost(train.inputs).argmax())
        names = raw.feature_names or [one.name for one in raw.named for _ in range(one.count)]
        feature = f"{'array' if raw.named else 'column'} '{names[lost]}'" if names else f"feature {lost}"
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
    return job_error(f"data.{field}", message)
