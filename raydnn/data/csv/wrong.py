"""What is wrong in a CSV file, told with the physical line and what it perhaps is."""

from __future__ import annotations

import re
from bisect import bisect_left

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from raydnn.data.csv.arrow import read
from raydnn.data.csv.file import File
from raydnn.errors import DataError
from raydnn.spec.reading.problems import show


def ragged(file: File, row: pacsv.InvalidRow) -> DataError:
    """The error of a row with more or fewer values than there are columns."""
    columns = len(file.dialect.names)
    lines = (line for line, values in file.rows() if len(values) != columns)
    line = next(lines, None)
    place = f"{file.path}{'' if line is None else f', line {line}'}"
    if row.text.startswith("#"):
        return DataError(f"{place}: begins with #; comments between the rows of a CSV file are not read")
    hint = "; is a quote never closed?" if row.text.count('"') % 2 else ""
    return DataError(
        f"{place}: has {row.actual_columns} values; {columns} are needed, one a column "
        f"(the separator is {file.dialect.called()}){hint}"
    )


def wrong_value(file: File, column: int, kind: pa.DataType) -> DataError:
    """The error of the first value of a column that is not of its kind."""
    where = file.where(column)
    (texts,) = read(file.path, file.dialect, {column: pa.string()}, file.decimal).columns
    texts = texts.combine_chunks()
    row = bisect_left(range(len(texts)), True, key=lambda last: not _castable(texts[: last + 1], kind, file))
    text = texts[row].as_py() if row < len(texts) else ""
    wanted = "true or false" if pa.types.is_boolean(kind) else "a number"
    return DataError(f"{where.at(row)}: {show(text)} is given; {wanted} is needed{_hint(texts, row, file)}")


def _castable(texts: pa.Array, kind: pa.DataType, file: File) -> bool:
    texts = pc.utf8_trim_whitespace(texts)
    if file.decimal != "." and not pa.types.is_boolean(kind):
        if pc.any(pc.match_substring(texts, ".")).as_py():
            return False
        texts = pc.replace_substring(texts, file.decimal, ".")
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    try:
        pc.cast(texts, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _hint(texts: pa.Array, row: int, file: File) -> str:
    """What a text that is no number perhaps is."""
    text = texts[row].as_py().strip() if row < len(texts) else ""
    if re.fullmatch(r"[+-]?\d{1,3}([,.' \u00a0\u202f]\d{3})+([.,]\d+)?", text):
        if text.count(",") == 1 and file.decimal == ".":
            return (
                "; thousands separators are not read, and data.decimal: ',' says that it is a decimal comma"
            )
        return "; thousands separators are not read"
    if re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", text):
        return "; data.decimal: ',' reads decimal commas"
    if text.startswith('"'):
        return "; a space stands before its quotes"
    if text.startswith("#"):
        return "; comments are not read"
    distinct = pc.count_distinct(texts).as_py()
    if distinct == len(texts) and distinct > 2:
        return "; the column holds a different text in every row: an id? Leave it out of the file"
    if re.fullmatch(r"[+-]?[\d.,]+\s*[^\d\s.,]{1,4}|[^\w\s]{1,3}\s*[\d.,]+", text):
        return ", without a unit"
    return ""
