"""A run's tables as files of other tools."""

from __future__ import annotations

from pathlib import Path

from raydnn.analysis.sql import sql
from raydnn.errors import StoreError, UsageError
from raydnn.store.run import Run
from raydnn.store.tables import FLOAT64, TABLES, columns_of

OPTIONS = {"csv": "format csv, header", "parquet": "format parquet", "json": "format json, array true"}
"""Form of the files → DuckDB's options of COPY."""


def export(run: Run, form: str, folder: Path) -> list[Path]:
    """Write `trials`, `epochs`, `events` and `layers`, each row once.

    Args:
        run: The run.
        form: One of OPTIONS; JSON is an array of objects, where NaN and infinities are null.
        folder: Where to; it is made where it is not there.

    Returns:
        The files.

    Raises:
        UsageError: One of the files is there already.
        StoreError: The folder cannot be written.
    """
    written = [folder / f"{table}.{form}" for table in TABLES]
    for path in written:
        if path.exists():
            raise UsageError(f"'{path}' is there already; give another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"'{folder}': {error.strerror}") from error
    for table, path in zip(TABLES, written, strict=True):
        quoted = str(path).replace("'", "''")
        rows = _finite(table) if form == "json" else f"select * from {table}"
        sql(run, f"copy ({rows}) to '{quoted}' ({OPTIONS[form]})", files=True)
    return written


def _finite(table: str) -> str:
    """The query for a table whose numbers JSON can write."""
    numbers = [column.name for column in columns_of(table) if column.type == FLOAT64]
    finite = ", ".join(f"case when isfinite({name}) then {name} end as {name}" for name in numbers)
    return f"select * replace ({finite}) from {table}"
