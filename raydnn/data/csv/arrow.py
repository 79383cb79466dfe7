"""One attempt of Arrow's at a CSV file, and how it fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from raydnn.data.csv.dialect import Dialect, decodes
from raydnn.data.sources.files import BROKEN, opened, unreadable
from raydnn.errors import DataError

LARGEST_BLOCK_BYTES = 2**30
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")


class WrongValueError(Exception):
    """A value of a column is not of its kind."""

    def __init__(self, column: int) -> None:
        super().__init__(column)
        self.column = column


class RaggedError(Exception):
    """A row has more or fewer values than there are columns."""

    def __init__(self, row: pacsv.InvalidRow) -> None:
        super().__init__(row)
        self.row = row


def read(path: Path, dialect: Dialect, kinds: Mapping[int, pa.DataType], decimal: str) -> pa.Table:
    """Read some of a file's columns; lines of spaces alone are passed over, empty numbers are null.

    Args:
        path: The file.
        dialect: How it is written.
        kinds: Number of a column → float64, bool or string.
        decimal: The decimal point of numbers.

    Raises:
        DataError: The file is damaged.
        UnicodeError: It is not written in the dialect's encoding.
        WrongValueError: A value is not of its column's kind.
        RaggedError: A row has more or fewer values than there are columns.
    """
    ragged: list[pacsv.InvalidRow] = []

    def handle(row: pacsv.InvalidRow) -> str:
        if not row.text.strip():
            return "skip"
        ragged.append(row)
        return "error"

    block_bytes, handler = dialect.block_bytes, None
    while True:
        try:
            return _read(path, dialect, kinds, decimal, block_bytes, handler)
        except UnicodeError:
            raise
        except BROKEN as error:
            reason = str(error)
            if ragged:
                raise RaggedError(ragged[0]) from None
            if "straddling object" in reason:
                if block_bytes >= LARGEST_BLOCK_BYTES:
                    message = "a row is longer than 1 GiB; is a quote never closed?"
                    raise DataError(f"{path}: {message}") from None
                block_bytes = min(16 * block_bytes, LARGEST_BLOCK_BYTES)
            elif re.search(r"Expected \d+ columns", reason) and handler is None:
                # Arrow hands over rows as text, and says on stderr where it cannot.
                if not decodes(path, dialect.encoding):
                    raise UnicodeError(f"a row of {path} is no text") from None
                handler = handle
            elif "invalid UTF8" in reason:
                raise UnicodeError(reason) from None
            elif column := re.match(r"In CSV column #(\d+): .*conversion error", reason):
                raise WrongValueError(int(column[1])) from None
            else:
                raise unreadable(path, error) from None


def _read(
    path: Path,
    dialect: Dialect,
    kinds: Mapping[int, pa.DataType],
    decimal: str,
    block_bytes: int,
    handler: Callable[[pacsv.InvalidRow], str] | None,
) -> pa.Table:
    how = pacsv.ReadOptions(
        block_size=block_bytes,
        # Names may repeat or be missing; numbers do not.
        column_names=[str(number) for number in range(len(dialect.names))],
        skip_rows=dialect.skipped_lines,
        skip_rows_after_names=1,
        encoding="utf8" if dialect.encoding == "utf-8" else dialect.encoding,
    )
    parse = pacsv.ParseOptions(
        delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=handler
    )
    convert = pacsv.ConvertOptions(
        column_types={str(number): kind for number, kind in kinds.items()},
        include_columns=[str(number) for number in kinds],
        null_values=[""],
        true_values=_TRUE,
        false_values=_FALSE,
        decimal_point=decimal,
    )
    with closing(opened(path)) as content:
        return pacsv.read_csv(content, how, parse, convert)
