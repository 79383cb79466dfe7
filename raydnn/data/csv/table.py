"""The columns of a CSV file, read in the encoding and with the decimal point that fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from raydnn.data.csv.arrow import RaggedError, WrongValueError, read
from raydnn.data.csv.dialect import ENCODINGS, detect
from raydnn.data.csv.file import File
from raydnn.data.csv.wrong import ragged, wrong_value
from raydnn.data.sources.files import existing_file
from raydnn.errors import DataError
from raydnn.spec.data import Csv


def open_table(given: str, spec: Csv) -> File:
    """Find a CSV file and how it is written.

    Raises:
        DataError: There is no such file, or it is no CSV file.
    """
    path = existing_file(given)
    return File(path, detect(path, spec))


def read_columns(
    file: File, kinds: Mapping[int, pa.DataType], spec: Csv
) -> tuple[File, list[pa.ChunkedArray]]:
    """Read some of a file's columns.

    Args:
        file: The file.
        kinds: Number of a column → float64, bool or string.
        spec: Says encoding and decimal point, or `auto`.

    Returns:
        The file with the encoding and the decimal point that it was read with, and the columns in the order of
        `kinds`. Empty numbers are null; rows at the end that hold nothing are left out.

    Raises:
        DataError: The file is damaged, or a value is not of its column's kind.
    """
    encodings = [file.dialect.encoding]
    if spec.encoding == "auto" and encodings[0] in ENCODINGS:
        encodings = list(ENCODINGS[ENCODINGS.index(encodings[0]) :])
    for encoding in encodings:
        file = replace(file, dialect=replace(file.dialect, encoding=encoding))
        if encoding != encodings[0]:
            file = replace(file, dialect=detect(file.path, spec, encoding))
        try:
            file, table = _with_decimal(file, kinds, spec)
        except UnicodeError as error:
            if encoding == encodings[-1]:
                raise DataError(
                    f"{file.path}: is not written in {encoding}: {_reason(error)}; data.encoding says another"
                ) from None
            continue
        if spec.encoding == "auto" and encoding in ENCODINGS[1:]:
            warnings.warn(
                f"{file.path}: is not UTF-8; read as {encoding} (Western European). "
                "data.encoding says another where that is wrong",
                stacklevel=2,
            )
        break
    if table.num_rows == 0:
        raise DataError(f"{file.path}: there is a header but no row")
    return file, _without_empty_end(file, table)


def _with_decimal(file: File, kinds: Mapping[int, pa.DataType], spec: Csv) -> tuple[File, pa.Table]:
    """Read with a decimal point, or else with a decimal comma where the comma does not separate."""
    points: list[str] = [spec.decimal]
    if spec.decimal == "auto":
        points = [point for point in (".", ",") if point != file.dialect.separator]
    wrong: list[WrongValueError] = []
    for point in points:
        file = replace(file, decimal=point)
        try:
            return file, read(file.path, file.dialect, kinds, point)
        except RaggedError as error:
            raise ragged(file, error.row) from None
        except WrongValueError as error:
            wrong.append(error)
    column = wrong[0].column
    raise wrong_value(replace(file, decimal=points[0]), column, kinds[column])


def _without_empty_end(file: File, table: pa.Table) -> list[pa.ChunkedArray]:
    """Leave out the rows at the end in which every value is empty, as spreadsheets leave them."""
    columns: list[pa.ChunkedArray] = table.columns
    rows = table.num_rows
    while rows and all(_empty(column[rows - 1]) for column in columns):
        rows -= 1
    if rows == 0:
        raise DataError(f"{file.path}: every row is empty")
    if rows < table.num_rows:
        left_out = table.num_rows - rows
        warnings.warn(
            f"{file.path}: {left_out} row{'s' if left_out > 1 else ''} at the end without any value "
            f"{'are' if left_out > 1 else 'is'} left out",
            stacklevel=3,
        )
        columns = [column.slice(0, rows) for column in columns]
    return columns


def _empty(value: pa.Scalar) -> bool:
    given: Any = value.as_py()
    return given is None or (isinstance(given, str) and not given.strip())


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0]
