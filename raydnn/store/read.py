"""Reading: every key exactly once, whatever was written twice, superseded or half compacted."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raydnn.errors import NotFoundError
from raydnn.store import files
from raydnn.store.files import Location, locate
from raydnn.store.parts import Part, read_parts
from raydnn.store.run import is_run, runs_in
from raydnn.store.tables import SCHEMA_VERSION, columns_of, table_named

_ROW = "__row"
_VERSION = {"raydnn.schema_version": str(SCHEMA_VERSION)}


def read(run_location: Location, table: str) -> pa.Table:
    """Read a table of one run, each key once, sorted by key.

    Args:
        run_location: The run's folder.
        table: `trials`, `epochs` or `events`.

    Raises:
        UsageError: There is no such table.
        StoreError: A file cannot be read; one that is damaged is set aside with a warning instead.
    """
    table_named(table)
    return merge(read_parts(run_location, table), table)


def load(path_or_uri: str | os.PathLike[str], table: str = "trials") -> pa.Table:
    """Load a table of one run, or of all runs in a storage folder, each key once.

    Args:
        path_or_uri: A run's folder or a folder of runs; a path, `s3://...` or `gs://...`.
        table: `trials`, `epochs` or `events`.

    Raises:
        NotFoundError: There is no such folder.
        UsageError: There is no such table.
        StoreError: A file cannot be read; one that is damaged is set aside with a warning instead.
    """
    table_named(table)
    location = locate(path_or_uri)
    if is_run(location):
        return read(location, table)
    runs = [location / name for name in sorted(runs_in(location))]
    if not runs and not files.exists(location):
        raise NotFoundError(f"{location} does not exist")
    tables = [columns_of(table).empty_table(), *(read(run, table) for run in runs)]
    return pa.concat_tables(tables, promote_options="permissive").replace_schema_metadata(_VERSION)


def merge(parts: list[Part], table: str) -> pa.Table:
    """Put parts together: of rows with one key that of the highest attempt counts, then the latest part's."""
    definition = table_named(table)
    metadata = parts[0].table.schema.metadata if parts else _VERSION
    tables = [columns_of(table).empty_table(), *(part.table for part in parts)]
    rows = pa.concat_tables(tables, promote_options="permissive").replace_schema_metadata(metadata)
    if rows.num_rows == 0:
        return rows
    order = [*definition.key, *([definition.attempt] if definition.attempt else []), _ROW]
    keys = rows.select(order[:-1]).append_column(_ROW, pa.array(np.arange(rows.num_rows)))
    sorted_rows = pc.sort_indices(keys, [(name, "ascending") for name in order], null_placement="at_start")
    newest = _last_of_each(keys.select(list(definition.key)).take(sorted_rows))
    return rows.take(sorted_rows.filter(newest))


def _last_of_each(keys: pa.Table) -> pa.Array:
    """Mask of the last row of each run of equal keys; the keys are sorted."""
    differs = np.zeros(keys.num_rows, dtype=bool)
    differs[-1] = True
    for column in keys.combine_chunks().columns:
        values = column.combine_chunks()
        changes = pc.not_equal(values[1:], values[:-1])
        differs[:-1] |= changes.fill_null(True).to_numpy(zero_copy_only=False)
    return pa.array(differs)
