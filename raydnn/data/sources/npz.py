"""Examples in a NumPy archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydnn.data.sources.archive import array_names, read_arrays
from raydnn.data.sources.classes import Classes, array_keys, find_classes
from raydnn.data.sources.files import existing_file
from raydnn.data.sources.named import input_names, pack
from raydnn.data.sources.padding import Steps
from raydnn.data.sources.raw import (
    Array,
    Arrays,
    Raw,
    RowPlace,
    check_finite,
    example_weights,
    finite,
    labels,
    precise,
    probabilities,
    two_classes,
    without_targets,
)
from raydnn.errors import DataError
from raydnn.spec.data import Npz, Targets

_NAMES = ("inputs", "targets", "test_inputs", "test_targets", "lengths", "test_lengths")
_CLASSES = ("classification", "binary")
_CHECKS: dict[Targets, Callable[[NDArray[np.float32], RowPlace], NDArray[np.float32]]] = {
    "multi_label": labels,
    "distribution": probabilities,
}


def load_npz(spec: Npz) -> Raw:
    """Return the arrays `inputs` (n, *features) and `targets`, and perhaps `test_inputs` and `test_targets`.

    Sequences are padded where there are `lengths` (n,), the steps that are there, or where `data.padding` fills up
    tokens.

    Where there is no array `inputs`, several others beside the targets are inputs by name, with `test_` before the name
    in a test part; they are returned side by side, as rows.

    Targets are classes, (n,) whole numbers or booleans; or numbers, labels (0 or 1) or probabilities of
    shape (n, outputs), for regression also (n,); where inputs are learned they are not looked at. Nothing in the
    archive is ever unpickled.

    Raises:
        DataError: The archive is missing or damaged, or an array has a wrong shape, type or value.
    """
    path = existing_file(spec.path)
    weights = [spec.weights] if spec.weights else []
    if spec.reconstruct:
        return _inputs_only(
            read_arrays(path, ["inputs", "test_inputs", *weights], ["inputs", *weights]), path, spec
        )
    names = input_names(array_names(path), spec, path)
    wanted = (*_NAMES, *weights, *names, *(f"test_{name}" for name in names))
    arrays = read_arrays(path, wanted, (*(names or ["inputs"]), "targets", *weights))
    named = pack(arrays, names, path) if names else ()
    if ("test_inputs" in arrays) != ("test_targets" in arrays):
        raise DataError(f"{path}: only one of test_inputs and test_targets is there; both or neither can be")
    classes = None
    if spec.kind in _CLASSES:
        classes = _classes(arrays["targets"], Array(path, "targets"))
        if spec.kind == "binary":
            two_classes(len(classes), Array(path, "targets"))
    steps = Steps(path, spec.padding)
    tokens = [steps.take(arrays, "")]
    train = _part(arrays, "", path, spec.kind, classes)
    if spec.weights is not None:
        train = replace(train, weights=_weights(arrays, spec.weights, path, len(train.inputs)))
    test = None
    if "test_inputs" in arrays:
        tokens.append(steps.take(arrays, "test_"))
        test = _part(arrays, "test_", path, spec.kind, classes, train.inputs.dtype)
        _check_alike(train.inputs, test.inputs, path, "inputs")
        _check_alike(train.targets, test.targets, path, "targets")
    called = None if classes is None or classes.are_numbers else classes.names
    return Raw(
        train,
        test,
        len(classes or ()),
        spec.kind,
        called,
        tokens=tuple(part for part in tokens if part),
        padding=spec.padding,
        padded=steps.padded,
        named=named,
    )


def _inputs_only(arrays: dict[str, NDArray[Any]], path: Path, spec: Npz) -> Raw:
    train = without_targets(_inputs(arrays, "inputs", path))
    if spec.weights is not None:
        train = replace(train, weights=_weights(arrays, spec.weights, path, len(train.inputs)))
    test = None
    if "test_inputs" in arrays:
        test = without_targets(_inputs(arrays, "test_inputs", path, train.inputs.dtype))
        _check_alike(train.inputs, test.inputs, path, "inputs")
    return Raw(train, test, 0, spec.learns)


def _inputs(arrays: dict[str, NDArray[Any]], name: str, path: Path, least: Any = np.float32) -> NDArray[Any]:
    inputs, where = arrays.pop(name), Array(path, name)
    _check_shape(inputs, where, 2, "(n, features, ...)")
    return precise(inputs, where, least)


def _classes(targets: NDArray[Any], where: Array) -> Classes:
    labels = _integers(targets, where)
    return find_classes(array_keys(np.unique(labels)), None, len(labels), where)


def _part(
    arrays: dict[str, NDArray[Any]],
    prefix: str,
    path: Path,
    task: Targets,
    classes: Classes | None,
    least: Any = np.float32,
) -> Arrays:
    """Take a part's arrays out and check them."""
    numbers = _inputs(arrays, f"{prefix}inputs", path, least)
    targets, where_targets = arrays[f"{prefix}targets"], Array(path, f"{prefix}targets")
    _check_shape(targets, where_targets, 1, "(n,)")
    if len(numbers) != len(targets):
        raise DataError(f"{where_targets}: {len(targets)} targets for {len(numbers)} inputs")
    absent = arrays.pop(f"{prefix}absent", None)
    if absent is not None:
        numbers[absent] = np.nan
    if classes is not None:
        different, rows = np.unique(_integers(targets, where_targets), return_inverse=True)
        return Arrays(numbers, classes.numbers(array_keys(different), rows, where_targets))
    if targets.ndim > 2:
        raise DataError(f"{where_targets}: has the shape {targets.shape}; (n,) or (n, outputs) is needed")
    columns = targets.reshape(len(targets), -1)
    if task == "regression":
        check_finite(columns, where_targets)
        return Arrays(numbers, np.ascontiguousarray(columns, dtype=np.float64))
    return Arrays(numbers, _CHECKS[task](finite(columns, where_targets), where_targets))


def _weights(arrays: dict[str, NDArray[Any]], name: str, path: Path, n: int) -> NDArray[np.float32]:
    weights, where = arrays[name], Array(path, name)
    _check_shape(weights, where, 1, "(n,)")
    if weights.shape != (n,):
        raise DataError(f"{where}: has the shape {weights.shape}; one weight an example, ({n},), is needed")
    return example_weights(finite(weights, where), where)


def _check_shape(array: NDArray[Any], where: Array, least_dimensions: int, wanted: str) -> None:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where}: holds {array.dtype}; numbers are needed")
    if array.ndim < least_dimensions or array.size == 0:
        raise DataError(f"{where}: has the shape {array.shape}; {wanted} without a 0 is needed")


def _integers(targets: NDArray[Any], where: Array) -> NDArray[Any]:
    """Class labels (n,) as integers or booleans: 2.0 is 2."""
    if targets.dtype.kind == "f" and targets.size and bool((targets % 1 == 0).all()):
        targets = targets.astype(np.int64)
    if targets.dtype.kind not in "iub" or targets.ndim != 1 or targets.size == 0:
        hint = "; data.kind: regression learns numbers" if targets.dtype.kind == "f" else ""
        raise DataError(
            f"{where}: holds {targets.dtype} of shape {targets.shape}; class numbers are integers (n,){hint}"
        )
    return targets


def _check_alike(train: NDArray[Any], test: NDArray[Any], path: Path, name: str) -> None:
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{Array(path, f'test_{name}')}: an example has the shape {test.shape[1:]}; "
            f"in '{name}' it is {train.shape[1:]}"
        )
