"""Printing data on stdout as a table for people, JSON or CSV for programs."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from raydnn.cli.printing.layout import record_lines, table_lines
from raydnn.cli.printing.terminal import STEERING, harmless, tell

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "json", "csv")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: str) -> None:
    """Print rows of values.

    Args:
        columns: Headings; a heading that occurs twice gets a number.
        rows: One sequence a row, in the order of the columns.
        output: One of FORMATS. JSON is an array of objects, where NaN and infinities are null.
    """
    PRINTERS[output](_distinct(columns), list(rows))


def print_arrow(table: pa.Table, output: str) -> None:
    """Print an Arrow table; see `print_table`."""
    values = [column.to_pylist() for column in table.columns]
    print_table(table.column_names, zip(*values, strict=True), output)


def print_record(record: Mapping[str, Any], output: str) -> None:
    """Print one thing: a line a field as a table or CSV, one object as JSON.

    Args:
        record: Field → value. A table leaves nulls and empty mappings out, names the fields of a nested
            mapping by their dotted path, and shows a list of mappings as a table of its own below.
        output: One of FORMATS.
    """
    if output == "json":
        print_json({name: _plain(value) for name, value in record.items()})
        return
    tables = {name: value for name, value in record.items() if output == "table" and _is_table(value)}
    fields = _flat({name: value for name, value in record.items() if name not in tables})
    shown = [(name, value) for name, value in fields if output == "csv" or value not in (None, {})]
    if output == "table":
        told = [(_printable(name), cell(value)) for name, value in shown]
        for line in record_lines([("field", "value"), *told], _columns()):
            tell(line)
    else:
        print_table(("field", "value"), shown, output)
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        tell(f"\n{name}")
        print_table(columns, [[row.get(column) for column in columns] for row in rows], output)


def print_json(value: Any) -> None:
    """Print a value of dicts, lists, strings, numbers and nulls as indented JSON."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=not _writes_unicode())
    tell(STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text), exact=True)


def _print_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if not columns:
        return
    names = [_printable(name) for name in columns]
    cells = [[cell(value) for value in row] for row in rows]
    numeric = [
        all(row[index] is None or _is_number(row[index]) for row in rows) for index in range(len(names))
    ]
    for line in table_lines(names, cells, numeric, _columns()):
        tell(line)


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "utf-8").lower().replace("_", "-").startswith("utf-")


def _columns() -> int | None:
    """Columns of the terminal; None for a file or a pipe, where nothing is folded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _print_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    import csv
    from io import StringIO

    for row in (columns, *rows):
        line = StringIO()
        # the writer quotes a carriage return inside a cell only where line ends have one
        csv.writer(line, lineterminator="\r\n").writerow([_csv_cell(value) for value in row])
        tell(line.getvalue().removesuffix("\r\n"), exact=True)


def _print_json_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print_json([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])


PRINTERS = {"table": _print_text, "json": _print_json_rows, "csv": _print_csv}


def _csv_cell(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return f"'{value}"  # a spreadsheet would run such a cell as a formula
    return value


def _plain(value: Any) -> Any:
    """A value in the types JSON knows: times as ISO 8601, bytes as hexadecimal digits."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, datetime):
        local = value.astimezone() if value.tzinfo else value  # without a zone no one knows which it is in
        return local.isoformat(" ", "seconds")
    value = _plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return _printable(str(value))


def _printable(text: str) -> str:
    """The text on one line, without characters that would steer a terminal."""
    return harmless("".join(" " if char.isspace() else char for char in text))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _distinct(names: Sequence[str]) -> list[str]:
    taken: list[str] = []
    for name in names:
        copies = (f"{name}_{number}" for number in count(2))
        free = (copy for copy in copies if copy not in names and copy not in taken)
        taken.append(name if name not in taken else next(free))
    return taken
