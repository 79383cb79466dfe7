"""Inputs by name in a NumPy archive: which of its arrays they are, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from keyword import iskeyword
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydnn.data.named import EXACT, Named, NamedInput, packed
from raydnn.data.sources.raw import Array, precise
from raydnn.errors import DataError
from raydnn.spec.data import Npz

_TEST = "test_"
_OTHERS = {
    "lengths": "lengths go with one array 'inputs' of sequences",
    "weights": "data.weights names the array that holds the weights of examples",
}
"""Names that mean something else in an archive → what."""


def input_names(names: Sequence[str], spec: Npz, path: Path) -> tuple[str, ...]:
    """Which arrays of an archive are inputs by name, those of a test part left out.

    Args:
        names: All of the archive.
        spec: What is said of it.
        path: The archive.

    Returns:
        Names; none where `inputs` are there, or where there are not several other arrays beside the targets.

    Raises:
        DataError: One cannot be the name of an argument, or means something else.
    """
    others = [name for name in names if name not in ("targets", "test_targets", spec.weights)]
    found = tuple(name for name in others if not name.startswith(_TEST))
    if "inputs" in names or len(found) < 2:
        return ()
    if spec.padding is not None:
        raise DataError(
            f"{path}: data.padding is given, which fills up tokens of one array 'inputs'; there is none"
        )
    for name in found:
        if name in _OTHERS:
            raise DataError(f"{Array(path, name)}: is no name of an input; {_OTHERS[name]}")
        if not name.isidentifier() or iskeyword(name):
            raise DataError(
                f"{Array(path, name)}: is no name that an argument of a module's forward can have"
            )
    of_test = [name.removeprefix(_TEST) for name in others if name.startswith(_TEST)]
    for name in of_test:
        if name not in found:
            raise DataError(f"{Array(path, _TEST + name)}: there is no array '{name}' for training")
    lacking = [name for name in found if of_test and name not in of_test]
    if lacking:
        raise DataError(f"{path}: there is an array '{_TEST}{of_test[0]}', but no '{_TEST}{lacking[0]}'")
    return found


def pack(arrays: dict[str, NDArray[Any]], names: Sequence[str], path: Path) -> Named:
    """Put arrays `inputs`, and perhaps `test_inputs`, in the place of those by name.

    Args:
        arrays: Those of the archive.
        names: Which are inputs.
        path: The archive.

    Returns:
        What they are.

    Raises:
        DataError: One has a wrong shape, type or value, or another number of examples than the first.
    """
    named, rows = _part(arrays, names, "", path)
    arrays["inputs"] = rows
    if f"{_TEST}{names[0]}" not in arrays:
        return named
    of_test, rows = _part(arrays, names, _TEST, path)
    arrays[f"{_TEST}inputs"] = rows
    return tuple(_of_both(*both, path) for both in zip(named, of_test, strict=True))


def _part(
    arrays: dict[str, NDArray[Any]], names: Sequence[str], prefix: str, path: Path
) -> tuple[Named, NDArray[Any]]:
    own: dict[str, NDArray[Any]] = {}
    named: list[NamedInput] = []
    for name in names:
        array, where = arrays.pop(f"{prefix}{name}"), Array(path, f"{prefix}{name}")
        if array.dtype.kind not in "fiub":
            raise DataError(
                f"{where}: holds {array.dtype}; numbers are needed (without an array 'inputs' every one is an input)"
            )
        if array.ndim == 0 or array.size == 0:
            raise DataError(f"{where}: has the shape {array.shape}; (n, ...) without a 0 is needed")
        n = len(next(iter(own.values()), array))
        if len(array) != n:
            raise DataError(f"{where}: holds {len(array)} examples; '{prefix}{names[0]}' holds {n}")
        whole = _range(array, where) if array.dtype.kind in "iu" else None
        named.append(NamedInput(name, array.shape[1:], whole))
        own[name] = array if whole else precise(array, where)
    double = any(array.dtype == np.float64 for array in own.values())
    return tuple(named), packed(own, tuple(named)).astype(np.float64 if double else np.float32, copy=False)


def _range(array: NDArray[Any], where: Array) -> tuple[int, int]:
    """The smallest and the largest of whole numbers, all of which a float32 holds."""
    found = int(array.min()), int(array.max())
    for value, place in zip(found, (array.argmin(), array.argmax()), strict=True):
        if abs(value) > EXACT:
            row = int(place) // (array.size // len(array))
            raise DataError(
                f"{where.at(row)}: {value} is given; whole numbers of -{EXACT} to {EXACT} are read"
            )
    return found


def _of_both(train: NamedInput, test: NamedInput, path: Path) -> NamedInput:
    where = Array(path, f"{_TEST}{train.name}")
    if train.shape != test.shape:
        raise DataError(
            f"{where}: an example has the shape {test.shape}; in '{train.name}' it is {train.shape}"
        )
    if train.whole is None or test.whole is None:
        if train.whole is test.whole:
            return train
        kinds = ["numbers" if one.whole is None else "whole numbers" for one in (test, train)]
        raise DataError(f"{where}: holds {kinds[0]}; '{train.name}' holds {kinds[1]}")
    least, most = zip(train.whole, test.whole, strict=True)
    return replace(train, whole=(min(least), max(most)))
