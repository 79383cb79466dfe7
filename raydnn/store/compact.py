"""Compaction: after a run its many small files become one a table, and no moment of it can lose a row."""

from __future__ import annotations

import json
import re
import secrets

from raydnn.store.commit import ATTEMPTS, compacted_attempts
from raydnn.store.parts import COMPACT_PREFIX, Part, encode, part_entries, read_parts, stack_attempts
from raydnn.store.read import merge
from raydnn.store.run import Run
from raydnn.store.storage import files
from raydnn.store.tables import TABLES, schema

_NUMBER = re.compile(COMPACT_PREFIX + r"(\d+)-")


def compact(run: Run) -> None:
    """Put each table of a run into one file and remove the files it replaces.

    The new file has a name of its own and stands before any old one goes, so a crash leaves rows twice,
    which reading mends, and never none; for the same reason two compactions at a time do no harm.

    Raises:
        StoreError: A file cannot be read, written or removed; all rows are still there.
    """
    for table in TABLES:
        parts = read_parts(run.location, table)
        if len(parts) > 1 or any(not part.entry.name.startswith(COMPACT_PREFIX) for part in parts):
            _compact_table(run, table, parts)


def _compact_table(run: Run, table: str, parts: list[Part]) -> None:
    rows = merge(parts, table)
    attempts = compacted_attempts(part.table for part in parts)
    for stack, attempt in stack_attempts(part.entry.name for part in parts).items():
        attempts[stack] = max(attempt, attempts.get(stack, 0))
    metadata = schema(table, run.run_id, run.metric, run.mode).metadata
    rows = rows.replace_schema_metadata({**metadata, ATTEMPTS: json.dumps(attempts)})
    files.write_bytes(run.location / table / _new_name(parts), encode(rows), scratch=run.scratch)
    unchanged = {part.entry for part in parts} & set(part_entries(run.location, table))
    for entry in sorted(unchanged, key=lambda entry: entry.name):
        files.remove(run.location / table / entry.name)


def _new_name(parts: list[Part]) -> str:
    numbers = [int(match[1]) for part in parts if (match := _NUMBER.match(part.entry.name))]
    return f"{COMPACT_PREFIX}{max(numbers, default=0) + 1:05d}-{secrets.token_hex(4)}.parquet"
