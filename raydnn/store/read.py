"""Reading: every key exactly once, whatever was written twice, superseded or half compacted."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raydnn.errors import NotFoundError
from raydnn.store.parts import Part, read_parts
from raydnn.store.run import is_run
from raydnn.store.runs import runs_of
from raydnn.store.storage import files
from raydnn.store.storage.files import Location, locate
from raydnn.store.tables import SCHEMA_VERSION, columns_of, empty_table, table_named

_ROW = "__row"
_VERSION = {"raydnn.schema_version": str(SCHEMA_VERSION)}


def read(run_location: Location, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table of one run, each key once, sorted by key.

    Args:
        run_location: The run's folder.
        table: `trials`, `epochs`, `events` or `layers`.
        columns: Those to read, a few of `trials` several times faster; None: all.

    Raises:
        UsageError: There is no such table.
        StoreError: A file cannot be read; one that is damaged is set aside with a warning instead.
    """
    table_named(table)
    rows = merge(read_parts(run_location, table, columns), table)
    return rows if columns is None else rows.select(list(columns))


def load(path_or_uri: str | os.PathLike[str], table: str = "trials") -> pa.Table:
    """Load a table of one run, or of all runs in a storage folder, each key once, also where a run was copied.

    Args:
        path_or_uri: A run's folder or a folder of runs; a path, `s3://...` or `gs://...`.
        table: `trials`, `epochs`, `events` or `layers`.

    Raises:
        NotFoundError: There is no such folder.
        UsageError: There is no such table.
        StoreError: A file cannot be read; one that is damaged is set aside with a warning instead.
    """
    table_named(table)
    location = locate(path_or_uri)
    if is_run(location):
        return read(location, table)
    runs = sorted(runs_of(location), key=lambda run: run.run_id)
    if not runs and not files.exists(location):
        raise NotFoundError(f"{location} does not exist")
    return _concat([read(run.location, table) for run in runs], table).replace_schema_metadata(_VERSION)


def merge(parts: list[Part], table: str) -> pa.Table:
    """Put parts together: of rows with one key that of the highest attempt counts, then the latest part's."""
    definition = table_named(table)
    rows = _concat([part.table for part in parts], table)
    if rows.num_rows == 0:
        return rows
    order = [*definition.key, *([definition.attempt] if definition.attempt else []), _ROW]
    keys = rows.select(order[:-1]).append_column(_ROW, row_numbers(np.arange(rows.num_rows)))
    sorted_rows = pc.sort_indices(keys, [(name, "ascending") for name in order])
    return rows.take(_last_of_each(keys.select(list(definition.key)), sorted_rows))


def row_numbers(numbers: np.ndarray[Any, Any]) -> pa.Array:
    """Row numbers for `take`; made from the bytes, as `pyarrow.array` would import pandas (0.3 s)."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers.astype(np.int64))])


def _concat(tables: list[pa.Table], table: str) -> pa.Table:
    """All rows of all tables, with the columns of any of them and the first one's metadata."""
    if not tables:
        return empty_table(columns_of(table)).replace_schema_metadata(_VERSION)
    return pa.concat_tables(tables, promote_options="permissive")


def _last_of_each(keys: pa.Table, sorted_rows: pa.Array) -> pa.Array:
    """Of rows sorted by their keys, the last one of each key."""
    columns = [column.combine_chunks() for column in keys.take(sorted_rows).columns]
    changes = functools.reduce(pc.or_, [pc.not_equal(column[1:], column[:-1]) for column in columns])
    return pa.concat_arrays([sorted_rows[:-1].filter(changes), sorted_rows[-1:]])
