"""A CSV file and its columns, as messages call them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raydnn.data.csv.dialect import Dialect, rows_of
from raydnn.spec.reading.problems import show


@dataclass(frozen=True)
class File:
    """A CSV file and how it is written."""

    path: Path
    dialect: Dialect
    decimal: str = "."

    def where(self, column: int) -> Column:
        """A column of it, as messages call it."""
        return Column(self, self.dialect.names[column])

    def line(self, row: int) -> int:
        """The physical line at which a row begins: both 1-based for the user, the row 0-based here."""
        return next((line for number, (line, _) in enumerate(self.rows()) if number == row), row + 2)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Its rows one by one, with their physical lines; slow, for messages."""
        return rows_of(self.path, self.dialect)


@dataclass(frozen=True)
class Column:
    """A column of a file, as messages call it."""

    file: File
    name: str

    def __str__(self) -> str:
        return f"{self.file.path}, column {show(self.name)}"

    def at(self, row: int) -> str:
        """One of its values, as messages call it; rows are counted from 0."""
        return f"{self}, line {self.file.line(row)}"

    def given(self, row: int) -> str | None:
        """How one of its values is written."""
        values = next((values for number, (_, values) in enumerate(self.file.rows()) if number == row), [])
        place = self.file.dialect.names.index(self.name)
        return values[place].strip() if place < len(values) else None
