"""Printing trials with their parameters, so that a line fits the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raydnn.cli.printing.output import cell, print_table

if TYPE_CHECKING:
    import pyarrow as pa

RANKED = {
    *("rank", "trial_id", "state", "best_value", "best_epoch", "epochs"),
    *("stage", "mean_value", "std_value", "seeds"),
}
"""What `analysis.tables.top` tells of a trial, or of a configuration, besides its parameters."""

WIDE_COLUMNS = 140
"""Width that is used where the output is no terminal."""


def print_top(table: pa.Table, output: str) -> None:
    """Print what `analysis.tables.top` gives; see `print_trials`."""
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    parameters = [name for name in table.column_names if name not in RANKED]
    print_trials(table.column_names, rows, parameters, output)


def print_trials(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], parameters: Sequence[str], output: str
) -> None:
    """Print a row a trial.

    Args:
        columns: Headings; the last ones are those of the parameters.
        rows: One sequence a trial, in the order of the columns.
        parameters: Dotted paths, or column names, of the parameters: `optimizer.name`, `optimizer_lr`.
        output: `table`, `json` or `csv`. A table too wide for the terminal tells each trial's parameters in
            one column, as `optimizer=sgd(lr=0.1, momentum=0.9) train_batch_size=32`.
    """
    if output == "table" and too_wide(columns, rows):
        first = len(columns) - len(parameters)
        columns = (*columns[:first], "configuration")
        rows = [
            (*row[:first], configuration(dict(zip(parameters, row[first:], strict=True)))) for row in rows
        ]
    print_table(columns, rows, output)


def configuration(parameters: Mapping[str, Any]) -> str:
    """Parameters in one line; those of a component stand in the parentheses behind its name."""
    return " ".join(parts(parameters))


def parts(parameters: Mapping[str, Any]) -> list[str]:
    """What `configuration` tells, piece by piece: a component with its parameters, or a field of its own."""
    given = {
        name: f"{value:.3g}" if isinstance(value, float) else cell(value)
        for name, value in parameters.items()
        if value is not None
    }
    axes = [name.removesuffix("name") for name in given if name.endswith(("_name", ".name"))]
    told = []
    for name, value in given.items():
        axis = next((axis for axis in axes if name.startswith(axis)), None)
        if axis is None:
            told.append(f"{name}={value}")
        elif name == f"{axis}name":
            inside = [
                f"{other.removeprefix(axis)}={text}"
                for other, text in given.items()
                if other.startswith(axis) and other != name
            ]
            told.append(f"{axis[:-1]}={value}" + (f"({', '.join(inside)})" if inside else ""))
    return told


def too_wide(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bool:
    """Whether a table of these rows is wider than the terminal."""
    return _width(columns, rows) > shutil.get_terminal_size((WIDE_COLUMNS, 24)).columns


def _width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    widths = [max(map(len, (name, *map(cell, values)))) for name, *values in zip(columns, *rows, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1)
