"""How a table's text lies on a page: aligned columns, folded ones where the terminal is narrow, or a paragraph a row.

Ids and numbers are never broken, so that they can be read and copied; other columns give way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raydnn.cli.printing.terminal import width

MOST_RULED = 60
"""A heading's rule is no longer than this, however wide its column."""
LONGEST_WORD = 15
"""Longer words of a column that gives way are broken."""
GAP = "  "


def table_lines(
    names: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], columns: int | None
) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        names: Headings.
        cells: One sequence a row, each cell one line.
        numeric: Which columns are aligned right.
        columns: Those of the terminal; None: a file or a pipe, where a row is one line.
    """
    natural = [max(map(width, column)) for column in zip(names, *cells, strict=True)]
    least = [
        widest if right or name.endswith("_id") else min(widest, max(map(_least, column)))
        for widest, right, (name, *column) in zip(
            natural, numeric, zip(names, names, *cells, strict=True), strict=True
        )
    ]
    gaps = len(GAP) * (len(names) - 1)
    if columns is not None and sum(least) + gaps > columns:
        for row in cells:
            yield from _paragraph(names, row, columns)
        return
    widths = natural if columns is None else _shrunk(natural, least, columns - gaps)
    rules = ["─" * min(widest, MOST_RULED) for widest in widths]
    for row in (names, rules, *cells):
        folded = [wrapped(cell, widest) for cell, widest in zip(row, widths, strict=True)]
        for number in range(max(map(len, folded))):
            parts = [
                _aligned(lines[number] if number < len(lines) else "", widest, right)
                for lines, widest, right in zip(folded, widths, numeric, strict=True)
            ]
            yield GAP.join(parts).rstrip()


def record_lines(fields: Sequence[tuple[str, str]], columns: int | None) -> Iterator[str]:
    """Yield `name  value` lines, the values below each other; a word is never broken, however narrow the terminal.

    Args:
        fields: Names and values, each one line; the first pair are the headings.
        columns: As in `table_lines`.
    """
    first = max(width(name) for name, _ in fields)
    second = max(width(value) for _, value in fields)
    room = second if columns is None else max(LONGEST_WORD, columns - first - len(GAP))
    rule = "─" * min(first, MOST_RULED), "─" * min(second, room, MOST_RULED)
    for name, value in (fields[0], rule, *fields[1:]):
        for number, line in enumerate(wrapped(value, room, whole=True)):
            yield f"{_aligned(name if number == 0 else '', first, False)}{GAP}{line}".rstrip()


def wrapped(text: str, columns: int, *, whole: bool = False) -> list[str]:
    """The text in lines of at most so many columns, broken between words; a longer word is broken unless `whole`."""
    if width(text) <= columns:
        return [text]
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        for piece in [word] if whole or width(word) <= columns else _pieces(word, columns):
            joined = f"{line} {piece}" if line else piece
            if line and width(joined) > columns:
                lines.append(line)
                joined = piece
            line = joined
    return [*lines, line]


def _pieces(word: str, columns: int) -> list[str]:
    from rich.cells import chop_cells

    return chop_cells(word, columns)


def _least(cell: str) -> int:
    return min(LONGEST_WORD, max(map(width, cell.split(" "))))


def _shrunk(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that fit: of the columns that can give way the widest does, again and again."""
    widths = list(natural)
    while sum(widths) > room:
        widest = max(
            (place for place in range(len(widths)) if widths[place] > least[place]), key=lambda p: widths[p]
        )
        widths[widest] -= 1
    return widths


def _paragraph(names: Sequence[str], row: Sequence[str], columns: int) -> Iterator[str]:
    """A row where its columns do not fit: the first cell, and below it the others behind their names."""
    yield row[0]
    told = " · ".join(f"{name} {cell}" for name, cell in zip(names[1:], row[1:], strict=True) if cell)
    for line in wrapped(told, columns - len(GAP), whole=True) if told else []:
        yield f"{GAP}{line}"


def _aligned(text: str, columns: int, right: bool) -> str:
    padding = " " * (columns - width(text))
    return padding + text if right else text + padding
