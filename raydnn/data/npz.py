"""Examples in a NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydnn.data.raw import (
    Arrays,
    Raw,
    class_numbers,
    count_classes,
    example_weights,
    existing_file,
    finite,
    labels,
    probabilities,
    two_classes,
)
from raydnn.errors import DataError, nearest
from raydnn.spec.data import Npz, Task

_NAMES = ("inputs", "targets", "test_inputs", "test_targets")
_CLASSES = ("classification", "binary")
_CHECKS: dict[Task, Callable[[NDArray[np.float32], str], NDArray[np.float32]]] = {
    "multi_label": labels,
    "distribution": probabilities,
}


def load_npz(spec: Npz) -> Raw:
    """Return the arrays `inputs` (n, *features) and `targets`, and perhaps `test_inputs` and `test_targets`.

    Targets are class numbers 0 .. classes - 1, (n,) integers; or numbers, labels (0 or 1) or probabilities of
    shape (n, outputs), for regression also (n,). Nothing in the archive is ever unpickled.

    Raises:
        DataError: The archive is missing or damaged, or an array has a wrong shape, type or value.
    """
    path = existing_file(spec.path)
    arrays = _read(path, (*_NAMES, *([spec.weights] if spec.weights else [])))
    if ("test_inputs" in arrays) != ("test_targets" in arrays):
        raise DataError(f"{path}: only one of test_inputs and test_targets is there; both or neither can be")
    classes = 0
    if spec.kind in _CLASSES:
        where = _where(path, "targets")
        classes = count_classes(_integers(arrays["targets"], where), where)
        if spec.kind == "binary":
            two_classes(classes, where)
    train = _part(arrays, "", path, spec.kind, classes)
    if spec.weights is not None:
        train = replace(train, weights=_weights(arrays, spec.weights, path, len(train.inputs)))
    if "test_inputs" not in arrays:
        return Raw(train, None, classes, spec.kind)
    test = _part(arrays, "test_", path, spec.kind, classes)
    _check_alike(train.inputs, test.inputs, path, "inputs")
    _check_alike(train.targets, test.targets, path, "targets")
    return Raw(train, test, classes, spec.kind)


def _read(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: is a single array; an .npz archive is needed")
        with archive:
            for name in ("inputs", "targets", *wanted[len(_NAMES) :]):
                if name not in archive.files:
                    found = ", ".join(archive.files) or "none"
                    raise DataError(
                        f"{path}: there is no array '{name}' (arrays: {found}).{nearest(name, archive.files)}"
                    )
            return {name: archive[name] for name in wanted if name in archive.files}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        if "pickle" in reason:
            reason = "it is no NumPy archive, or holds Python objects instead of numbers"
        raise DataError(f"{path}: cannot be read: {reason}") from None


def _part(arrays: dict[str, NDArray[Any]], prefix: str, path: Path, task: Task, classes: int) -> Arrays:
    inputs, where_inputs = arrays[f"{prefix}inputs"], _where(path, f"{prefix}inputs")
    targets, where_targets = arrays[f"{prefix}targets"], _where(path, f"{prefix}targets")
    _check_shape(inputs, where_inputs, 2, "(n, features, ...)")
    _check_shape(targets, where_targets, 1, "(n,)")
    if len(inputs) != len(targets):
        raise DataError(f"{where_targets}: {len(targets)} targets for {len(inputs)} inputs")
    numbers = finite(inputs, where_inputs)
    if task in _CLASSES:
        return Arrays(numbers, class_numbers(_integers(targets, where_targets), where_targets, classes))
    if targets.ndim > 2:
        raise DataError(f"{where_targets}: has the shape {targets.shape}; (n,) or (n, outputs) is needed")
    check = _CHECKS.get(task)
    columns = finite(targets.reshape(len(targets), -1), where_targets)
    return Arrays(numbers, columns if check is None else check(columns, where_targets))


def _weights(arrays: dict[str, NDArray[Any]], name: str, path: Path, n: int) -> NDArray[np.float32]:
    weights, where = arrays[name], _where(path, name)
    _check_shape(weights, where, 1, "(n,)")
    if weights.shape != (n,):
        raise DataError(f"{where}: has the shape {weights.shape}; one weight an example, ({n},), is needed")
    return example_weights(finite(weights, where), where)


def _where(path: Path, name: str) -> str:
    return f"{path}, array '{name}'"


def _check_shape(array: NDArray[Any], where: str, least_dimensions: int, wanted: str) -> None:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where}: holds {array.dtype}; numbers are needed")
    if array.ndim < least_dimensions or array.size == 0:
        raise DataError(f"{where}: has the shape {array.shape}; {wanted} without a 0 is needed")


def _integers(targets: NDArray[Any], where: str) -> NDArray[Any]:
    if targets.dtype.kind not in "iu" or targets.ndim != 1 or targets.size == 0:
        raise DataError(
            f"{where}: holds {targets.dtype} of shape {targets.shape}; class numbers are integers (n,)"
        )
    return targets


def _check_alike(train: NDArray[Any], test: NDArray[Any], path: Path, name: str) -> None:
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{_where(path, f'test_{name}')}: an example has the shape {test.shape[1:]}; "
            f"in '{name}' it is {train.shape[1:]}"
        )
