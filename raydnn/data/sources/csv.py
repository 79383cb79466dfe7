"""Examples in CSV files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydnn.data.csv.arrow import read
from raydnn.data.csv.dialect import holds_numbers
from raydnn.data.csv.file import Column, File
from raydnn.data.csv.oddities import tell_oddities
from raydnn.data.csv.table import open_table, read_columns
from raydnn.data.sources.classes import Classes, csv_labels, find_classes, text_keys
from raydnn.data.sources.raw import (
    Arrays,
    Raw,
    check_finite,
    digits_lost,
    example_weights,
    perhaps_lost,
    two_classes,
    unfit,
    without_targets,
)
from raydnn.errors import DataError, JobError, Problem, nearest
from raydnn.spec.data import Csv

_NAMED = 20
"""Columns that a message lists."""
_GROUP_BYTES = 2**25
"""Columns are checked together as long as their copy is small."""
_BOOLEANS = {"true", "false"}


def load_csv(spec: Csv) -> Raw:
    """Return the rows of a CSV file: inputs (n, columns other than the target) in the file's order.

    Class labels are numbers, booleans or else texts; classes are numbered in their order. Columns without a name
    are left out.

    Raises:
        DataError: A file is missing, empty or damaged, or a value is not what its column needs.
        JobError: There is no such target column.
    """
    train = open_table(spec.path, spec)
    names = train.dialect.names
    _check_names(train, spec)
    features = [name for name in names if name not in (spec.target, spec.weights) and not _is_unnamed(name)]
    _tell_unnamed(train)
    if not features:
        only = spec.target or spec.weights or "without a name"
        raise DataError(f"{train.path}: '{only}' is the only column; at least one feature is needed")
    train, inputs, types, target, weights = _read(train, features, spec, spec.weights)
    tell_oddities(inputs, features, train.path)
    classes = None
    if spec.reconstruct or spec.target is None:
        arrays = without_targets(inputs)
    elif spec.kind == "regression":
        arrays = Arrays(inputs, _numbers(target, train.where(names.index(spec.target)))[:, None])
    else:
        where = train.where(names.index(spec.target))
        texts, rows = csv_labels(target, where)
        keys = text_keys(texts, train.decimal)
        classes = find_classes(keys, texts, len(rows), where)
        if spec.kind == "binary":
            two_classes(len(classes), where)
        arrays = Arrays(inputs, classes.numbers(keys, rows, where))
    if weights is not None and spec.weights is not None:
        of_weights = train.where(names.index(spec.weights))
        arrays = replace(
            arrays, weights=example_weights(_numbers(weights, of_weights).astype(np.float32), of_weights)
        )
    test = (
        None if spec.test_path is None else _test_part(spec.test_path, train, features, classes, spec, inputs)
    )
    kept = None if classes is None or classes.are_numbers else classes.names
    return Raw(
        arrays,
        test,
        len(classes or ()),
        spec.learns,
        kept,
        tuple(features),
        feature_types=types,
        target_names=None if spec.target is None else (spec.target,),
    )


def _test_part(
    given: str,
    train: File,
    features: Sequence[str],
    classes: Classes | None,
    spec: Csv,
    like: NDArray[Any],
) -> Arrays:
    file = open_table(given, spec)
    named, needed = ({name for name in each.dialect.names if not _is_unnamed(name)} for each in (file, train))
    # What is not learned need not be there.
    odd = sorted((named ^ needed) - {spec.weights, spec.target if spec.reconstruct else None})
    if odd:
        raise DataError(f"{file.path}: column '{odd[0]}' is not in both the training and the test file")
    _check_names(file, spec)
    file, inputs, _, target, _ = _read(file, features, spec, None, like.dtype)
    if spec.reconstruct or spec.target is None:
        return without_targets(inputs)
    where = file.where(file.dialect.names.index(spec.target))
    if classes is None:
        return Arrays(inputs, _numbers(target, where)[:, None])
    texts, rows = csv_labels(target, where)
    return Arrays(inputs, classes.numbers(text_keys(texts, file.decimal), rows, where))


def _check_names(file: File, spec: Csv) -> None:
    names = file.dialect.names
    known = [name for name in names if name]
    for field, column in (("target", spec.target), ("weights", spec.weights)):
        if column is not None and column not in known and (field == "target" or spec.path == str(file.path)):
            listed = ", ".join(known[:_NAMED]) + (f", ... ({len(known):,})" if len(known) > _NAMED else "")
            hint = nearest(column, known) if len(known) <= 1000 else ""
            if holds_numbers(names):
                hint = " They are all numbers: is the header missing?"
            elif len(names) == 1:
                hint = f" The separator was taken to be {file.dialect.called()}; data.separator says another."
            raise JobError(
                [
                    Problem(
                        "",
                        f"data.{field}",
                        f"'{column}' is given; {file.path} has the columns {listed}.{hint}",
                    )
                ]
            )
    if spec.weights is not None and spec.weights == spec.target:
        raise JobError(
            [Problem("", "data.weights", f"'{spec.weights}' is the target; another column is needed")]
        )
    repeated = (
        sorted({name for name in known if known.count(name) > 1}) if len(set(known)) < len(known) else []
    )
    if repeated:
        raise DataError(f"{file.path}: column '{repeated[0]}' stands in the header more than once")
    if holds_numbers(names):
        warnings.warn(
            f"{file.path}: the names of the columns are all numbers; is the header missing?", stacklevel=3
        )


def _is_unnamed(name: str) -> bool:
    """Whether a column has no name; pandas calls such a one `Unnamed: 0` when it writes it again."""
    return not name or re.fullmatch(r"Unnamed: \d+", name) is not None


def _tell_unnamed(file: File) -> None:
    unnamed = [number for number, name in enumerate(file.dialect.names) if _is_unnamed(name)]
    if unnamed:
        listed = ", ".join(str(number + 1) for number in unnamed[:_NAMED])
        which = f"column {listed} has" if len(unnamed) == 1 else f"columns {listed} have"
        kind = ", a row index as pandas writes it," if unnamed == [0] else ""
        warnings.warn(
            f"{file.path}: {which} no name{kind} and {'is' if len(unnamed) == 1 else 'are'} left out",
            stacklevel=3,
        )


def _read(
    file: File,
    features: Sequence[str],
    spec: Csv,
    weights: str | None,
    least: np.dtype[Any] | None = None,
) -> tuple[File, NDArray[Any], tuple[str, ...], pa.ChunkedArray | None, pa.ChunkedArray | None]:
    """Read features as a matrix, with the type of each; the target and perhaps weights as columns."""
    positions = {name: number for number, name in enumerate(file.dialect.names)}
    number = pa.float64() if least == np.float64 else pa.float32()
    kinds = {positions[name]: _feature_kind(file, positions[name], number) for name in features}
    learned = None if spec.reconstruct else spec.target
    if learned is not None:
        kinds[positions[learned]] = pa.float64() if spec.kind == "regression" else pa.string()
    if weights is not None:
        kinds[positions[weights]] = pa.float64()
    file, columns = read_columns(file, kinds, spec)
    of_weights = columns.pop() if weights is not None else None
    target = columns.pop() if learned is not None else None
    types = tuple("boolean" if pa.types.is_boolean(column.type) else "number" for column in columns)
    columns = [column.cast(number) if pa.types.is_boolean(column.type) else column for column in columns]
    matrix = _matrix(file, columns, [positions[name] for name in features], number)
    return file, matrix, types, target, of_weights


def _feature_kind(file: File, place: int, number: pa.DataType) -> pa.DataType:
    """Numbers, or booleans where the first rows hold nothing else."""
    first = {row[place].strip().lower() for row in file.dialect.first_rows if place < len(row)}
    return pa.bool_() if first and first <= _BOOLEANS else number


def _matrix(
    file: File, columns: list[pa.ChunkedArray], positions: Sequence[int], number: pa.DataType
) -> NDArray[Any]:
    """Put columns side by side, (n, columns); each is given up once it is copied.

    They are read as float32, which takes half the memory, and those again that it may be too coarse for.
    """
    coarse: list[int] = []
    at_once = max(1, _GROUP_BYTES // (8 * len(columns[0])))
    for start in range(0, len(columns), at_once):
        group = np.column_stack([column.to_numpy() for column in columns[start : start + at_once]])
        for bad in np.flatnonzero(unfit(group).any(axis=0))[:1]:
            _numbers(columns[start + bad], file.where(positions[start + bad]))
        if number == pa.float32():
            coarse += [start + column for column in np.flatnonzero(perhaps_lost(group)).tolist()]
    double = number == pa.float64()
    if coarse:
        kinds = {positions[column]: pa.float64() for column in coarse}
        again = read(file.path, file.dialect, kinds, file.decimal).slice(0, len(columns[0])).columns
        for column, precise in zip(coarse, again, strict=True):
            if digits_lost(precise.to_numpy()[:, None])[0]:
                columns[column], double = precise, True
    matrix = np.empty((len(columns[0]), len(columns)), np.float64 if double else np.float32)
    while columns:
        column = columns.pop()
        matrix[:, len(columns)] = column.to_numpy()
    return matrix


def _numbers(column: pa.ChunkedArray, where: Column) -> NDArray[np.float64]:
    """A column as float64, every value checked."""
    if column.null_count:
        row = pc.index(pc.is_null(column), pa.scalar(True)).as_py()
        raise DataError(f"{where.at(row)}: the value is missing")
    values = column.to_numpy()
    check_finite(values, where)
    return np.asarray(values, dtype=np.float64)
