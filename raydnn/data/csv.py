"""Examples in CSV files."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from raydnn.data.raw import (
    Arrays,
    Raw,
    class_numbers,
    count_classes,
    example_weights,
    existing_file,
    finite,
    two_classes,
)
from raydnn.errors import DataError, JobError, Problem, nearest
from raydnn.spec.data import Csv


def load_csv(spec: Csv) -> Raw:
    """Return the rows of a CSV file: inputs (n, columns other than the target) in the file's order.

    Class labels are the integers 0 .. classes - 1, or else texts, numbered in sorted order. Every column is
    read as text first, so that what it means does not depend on a guess from its first rows.

    Raises:
        DataError: A file is missing, empty or damaged, or a value is not what its column needs.
        JobError: There is no such target column.
    """
    train = _read(spec.path)
    names = train.table.column_names
    for field, column in (("target", spec.target), ("weights", spec.weights)):
        if column is not None and column not in names:
            message = (
                f"'{column}' is given; {train.path} has the columns {', '.join(names)}."
                f"{nearest(column, names)}"
            )
            raise JobError([Problem("", f"data.{field}", message)])
    if spec.weights == spec.target:
        raise JobError(
            [Problem("", "data.weights", f"'{spec.weights}' is the target; another column is needed")]
        )
    features = [name for name in names if name not in (spec.target, spec.weights)]
    if not features:
        raise DataError(f"{train.path}: '{spec.target}' is the only column; at least one feature is needed")
    labels = None if spec.kind == "regression" else _labels(train, spec.target)
    if labels is not None and spec.kind == "binary":
        two_classes(labels.classes, train.where(spec.target))
    test = None
    if spec.test_path is not None:
        file = _read(spec.test_path)
        odd = sorted((set(names) ^ set(file.table.column_names)) - {spec.weights})
        if odd:
            raise DataError(f"{file.path}: column '{odd[0]}' is not in both the training and the test file")
        test = _part(file, features, spec.target, labels)
    arrays = _part(train, features, spec.target, labels)
    if spec.weights is not None:
        weights = example_weights(_numbers(train, spec.weights), train.where(spec.weights))
        arrays = replace(arrays, weights=weights)
    return Raw(arrays, test, 0 if labels is None else labels.classes, spec.kind)


@dataclass(frozen=True)
class _File:
    path: Path
    table: pa.Table
    """Every column as text."""

    def where(self, column: str) -> str:
        return f"{self.path}, column '{column}'"


@dataclass(frozen=True)
class _Labels:
    classes: int
    names: tuple[str, ...] | None
    """Class number → text; None: the labels are the class numbers."""


def _read(given: str) -> _File:
    path = existing_file(given)
    ragged: list[pacsv.InvalidRow] = []

    def refuse(row: pacsv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    # Arrow counts rows only without threads.
    how = pacsv.ReadOptions(use_threads=False)
    parse = pacsv.ParseOptions(invalid_row_handler=refuse)
    try:
        with pacsv.open_csv(path, how, parse) as reader:
            names = reader.schema.names
        as_text = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        table = pacsv.read_csv(path, how, parse, as_text)
    except (OSError, pa.ArrowException) as error:
        if ragged:
            row = ragged[0]
            raise DataError(
                f"{path}, row {row.number - 1}: has {row.actual_columns} values; "
                f"{row.expected_columns} are needed, one a column"
            ) from None
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read: {reason}") from None
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: column '{repeated[0]}' stands in the header more than once")
    if table.num_rows == 0:
        raise DataError(f"{path}: there is a header but no row")
    return _File(path, table)


def _part(file: _File, features: list[str], target: str, labels: _Labels | None) -> Arrays:
    inputs = np.stack([_numbers(file, name) for name in features], axis=1)
    if labels is None:
        return Arrays(inputs, _numbers(file, target)[:, None])
    return Arrays(inputs, _class_numbers(file, target, labels))


def _labels(file: _File, target: str) -> _Labels:
    texts = _texts(file, target)
    integers = _cast(texts, pa.int64())
    if integers is not None:
        return _Labels(count_classes(integers, file.where(target)), None)
    names = tuple(sorted(pc.unique(texts).to_pylist()))
    return _Labels(count_classes(np.array(names), file.where(target)), names)


def _class_numbers(file: _File, target: str, labels: _Labels) -> NDArray[np.int64]:
    texts = _texts(file, target)
    if labels.names is None:
        allowed = f"an integer from 0 to {labels.classes - 1}"
        return class_numbers(
            _converted(texts, pa.int64(), file.where(target), allowed), file.where(target), labels.classes
        )
    numbers = pc.index_in(texts, value_set=pa.array(labels.names, pa.string())).to_pylist()
    if None in numbers:
        row = numbers.index(None)
        raise DataError(
            f"{file.where(target)}, row {row + 1}: label '{texts[row]}' does not occur in the training file."
            f"{nearest(str(texts[row]), labels.names)}"
        )
    return np.array(numbers, dtype=np.int64)


def _numbers(file: _File, column: str) -> NDArray[np.float32]:
    where = file.where(column)
    return finite(_converted(_texts(file, column), pa.float64(), where, "a number"), where)


def _texts(file: _File, column: str) -> pa.ChunkedArray:
    texts = pc.utf8_trim_whitespace(file.table[column])
    empty = pc.index(texts, pa.scalar("")).as_py()
    if empty >= 0:
        raise DataError(f"{file.where(column)}, row {empty + 1}: the value is missing")
    return texts


def _converted(texts: pa.ChunkedArray, kind: pa.DataType, where: str, allowed: str) -> NDArray[Any]:
    values = _cast(texts, kind)
    if values is None:
        row = bisect_left(range(len(texts)), True, key=lambda last: _cast(texts[: last + 1], kind) is None)
        raise DataError(f"{where}, row {row + 1}: '{texts[row]}' is given; {allowed} is needed")
    return values


def _cast(texts: pa.ChunkedArray, kind: pa.DataType) -> NDArray[Any] | None:
    try:
        return np.asarray(pc.cast(texts, kind))
    except pa.ArrowInvalid:
        return None
