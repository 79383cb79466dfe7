"""Printing data on stdout as a table for people, JSON or CSV for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "json", "csv")
MOST_RULED = 60
"""A heading's rule is no longer than this, however wide its column."""


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
    print_table(("field", "value"), shown, output)
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        click.echo(f"\n{name}")
        print_table(columns, [[row.get(column) for column in columns] for row in rows], output)


def print_json(value: Any) -> None:
    """Print a value of dicts, lists, strings, numbers and nulls as indented JSON."""
    click.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False))


def _print_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if not columns:
        return
    names = [_printable(name) for name in columns]
    cells = [[cell(value) for value in row] for row in rows]
    numeric = [
        all(row[index] is None or _is_number(row[index]) for row in rows) for index in range(len(names))
    ]
    if sys.stdout.isatty():
        _print_folded(names, cells, numeric)
    else:
        _print_lines(names, cells, numeric)


def _print_folded(names: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    """For a terminal: long cells are folded so that the table fits its width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, right in zip(names, numeric, strict=True):
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(file=sys.stdout, highlight=False).print(table)


def _print_lines(names: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    """For a file or a pipe: one line a row, never folded, and without the import of rich."""
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for row in (names, ["─" * min(width, MOST_RULED) for width in widths], *cells):
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        click.echo("  ".join(aligned).rstrip())


def _print_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    import csv
    from io import StringIO

    for row in (columns, *rows):
        line = StringIO()
        # the writer quotes a carriage return inside a cell only where line ends have one
        csv.writer(line, lineterminator="\r\n").writerow([_csv_cell(value) for value in row])
        click.echo(line.getvalue().removesuffix("\r\n"))


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
        return value.strftime("%Y-%m-%d %H:%M:%S")
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
    return "".join(char if char.isprintable() else " " for char in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _distinct(names: Sequence[str]) -> list[str]:
    taken: list[str] = []
    for name in names:
        copies = (f"{name}_{number}" for number in count(2))
        free = (copy for copy in copies if copy not in names and copy not in taken)
        taken.append(name if name not in taken else next(free))
    return taken
