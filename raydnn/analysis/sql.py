"""SQL over a run's tables, through DuckDB."""

from __future__ import annotations

import re
import warnings

import duckdb
import pyarrow as pa

from raydnn.analysis.vanished import vanished
from raydnn.errors import UsageError, first_line
from raydnn.store.read import load
from raydnn.store.run import Run
from raydnn.store.tables import TABLES

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # A name in a query means a table of the run, never a variable of this program or something to download.
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "TimeZone": "UTC",
}
_SHUT: dict[str, str | bool | int | float | list[str]] = {
    # The tables are in memory: nothing else is read, nothing is written, and no statement can change that.
    "enable_external_access": "false",
    "temp_directory": "",
    "lock_configuration": "true",
}
_READING = ("SELECT", "EXPLAIN", "MULTI")
"""DuckDB's kinds of statements that read; MULTI is `pivot`."""


def sql(run_or_storage: Run | str, query: str, *, files: bool = False) -> pa.Table:
    """Answer a query over the views `trials`, `epochs`, `events` and `layers`, in which every key occurs once.

    Args:
        run_or_storage: A run, or the path or address of a run or of a folder of runs.
        query: One or more statements in DuckDB's SQL; the last one's rows are the answer.
        files: Whether statements may do anything, as DuckDB can: read and write files, attach databases, load
            extensions. Without it they only read the tables.

    Raises:
        UsageError: DuckDB does not accept the query, its first line says why; or it does more than read.
        NotFoundError: There is no such run or storage.
    """
    path = run_or_storage.uri if isinstance(run_or_storage, Run) else run_or_storage
    named = [table for table in TABLES if re.search(rf"\b{table}\b", query, re.IGNORECASE)]
    if isinstance(run_or_storage, Run):
        for each in vanished(run_or_storage):
            warnings.warn(each, stacklevel=2)
    with duckdb.connect(config=_CONFIG if files else _CONFIG | _SHUT) as connection:
        try:
            statements = connection.extract_statements(query)
        except duckdb.Error as error:
            raise UsageError(f"query: {first_line(error)}") from error
        if not statements:
            raise UsageError("query: it is empty")
        for statement in statements:
            if not files and statement.type.name not in _READING:
                raise UsageError(
                    f"query: {statement.type.name} is not allowed, for it does more than read; allowed: select, "
                    "with, from, values, describe, show, summarize, pivot, explain; all with --files"
                )
        for table in named or TABLES:
            connection.register(table, load(path, table))
        try:
            answer = connection.sql(query)
            return pa.table({}) if answer is None else answer.to_arrow_table()
        except duckdb.PermissionException as error:
            raise UsageError(f"query: {first_line(error)}; allowed with --files") from error
        except (duckdb.Error, RuntimeError, ValueError) as error:
            raise UsageError(f"query: {first_line(error)}") from error
