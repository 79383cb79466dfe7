"""Committing: when a commit has returned, its rows survive the end of any process."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raydnn.store.parts import (
    COMPACT_PREFIX,
    DAMAGED_FOLDER,
    encode,
    part_entries,
    read_parts,
    stack_attempts,
    stack_part,
)
from raydnn.store.run import Run
from raydnn.store.storage import files, listing
from raydnn.store.tables import schema, table_named

ATTEMPTS = b"raydnn.attempts"
"""Metadata of a compacted file: the highest attempt of each stack whose files it replaced, as JSON."""

_EVENTS_PART = re.compile(r"events-\d+-(\d+)\.parquet$")


def commit_epochs(run: Run, stack: int, attempt: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Commit rows of `epochs` as one new file; without rows nothing is written.

    Args:
        run: The run.
        stack: The stack's number.
        attempt: Which start of the stack this is, from 1.
        rows: Column → value; a missing column is null; run_id, attempt and committed_at are filled in.

    Raises:
        ValueError: A row has an unknown column or lacks its key.
        StoreError: The file cannot be written; nothing was committed.
    """
    _commit_by_epoch(run, "epochs", stack, attempt, rows)


def commit_layers(run: Run, stack: int, attempt: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Commit rows of `layers`, as `commit_epochs` those of `epochs`."""
    _commit_by_epoch(run, "layers", stack, attempt, rows)


def commit_trials(run: Run, stack: int, attempt: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Commit the rows of `trials` of one stack, all of them; they replace what this attempt committed before.

    Args:
        run: The run.
        stack: The stack's number.
        attempt: Which start of the stack this is, from 1; 0 for trials that wait.
        rows: Column → value for each of the stack's trials; run_id and attempts are filled in.

    Raises:
        ValueError: A row has an unknown column or lacks its key.
        StoreError: The file cannot be written; the rows committed before are still there.
    """
    if not rows:
        return
    content = _table(run, "trials", rows, {"run_id": run.run_id, "attempts": attempt})
    location = run.location / "trials" / stack_part(stack, attempt)
    files.write_bytes(location, encode(content), scratch=run.scratch)


def next_attempt(run: Run, stack: int) -> int:
    """One more than the highest attempt of a stack that has left rows, compacted or damaged ones included."""
    names = listing.list_names(run.location / DAMAGED_FOLDER)
    highest = 0
    for table in ("trials", "epochs", "layers"):
        of_table = listing.list_names(run.location / table)
        # There are the files of every stack, so little may be done for each.
        names += [name for name in of_table if name.startswith(f"stack-{stack:05d}.")]
        if any(name.startswith(COMPACT_PREFIX) for name in of_table):
            compacted = compacted_attempts(part.table for part in read_parts(run.location, table))
            highest = max(highest, compacted.get(stack, 0))
    return 1 + max(highest, stack_attempts(names).get(stack, 0))


def compacted_attempts(tables: Any) -> dict[int, int]:
    """Stack → highest attempt, by the metadata of compacted files."""
    highest: dict[int, int] = {}
    for table in tables:
        for stack, attempt in json.loads((table.schema.metadata or {}).get(ATTEMPTS, b"{}")).items():
            highest[int(stack)] = max(attempt, highest.get(int(stack), 0))
    return highest


class EventLog:
    """The run's events, numbered in the order they happen; one process writes them, the driver."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._next = _last_sequence(run) + 1
        self._buffer: list[dict[str, Any]] = []

    def add(
        self,
        kind: str,
        *,
        trial_id: str | None = None,
        epoch: int | None = None,
        bracket: int | None = None,
        rung: int | None = None,
        value: float | None = None,
        cutoff: float | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Note an event; `commit` makes it last."""
        self._buffer.append(
            {
                "sequence": self._next,
                "at": datetime.now(UTC),
                "kind": kind,
                "trial_id": trial_id,
                "epoch": epoch,
                "bracket": bracket,
                "rung": rung,
                "value": value,
                "cutoff": cutoff,
                "detail": None if detail is None else json.dumps(detail, ensure_ascii=False),
            }
        )
        self._next += 1

    def commit(self) -> None:
        """Commit the events noted since the last commit as one new file; without any nothing is written.

        Raises:
            StoreError: The file cannot be written; the events are kept for the next commit.
        """
        if not self._buffer:
            return
        run = self._run
        content = _table(run, "events", self._buffer, {"run_id": run.run_id})
        name = f"events-{self._buffer[0]['sequence']:09d}-{self._buffer[-1]['sequence']:09d}.parquet"
        files.write_bytes(run.location / "events" / name, encode(content), scratch=run.scratch)
        self._buffer.clear()


def _commit_by_epoch(
    run: Run, table: str, stack: int, attempt: int, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Commit rows of a table that grows with every epoch, as one new file named by the last epoch in it."""
    if not rows:
        return
    filled = {"run_id": run.run_id, "attempt": attempt, "committed_at": datetime.now(UTC)}
    content = _table(run, table, rows, filled)
    last = max(row["epoch"] for row in rows)
    folder = run.location / table
    name = stack_part(stack, attempt, f".e{last:06d}")
    again = 0
    while files.exists(folder / name):
        # What is committed is never written over, even when one epoch is committed in two portions.
        again += 1
        name = stack_part(stack, attempt, f".e{last:06d}_{again:03d}")
    files.write_bytes(folder / name, encode(content), scratch=run.scratch)


def _last_sequence(run: Run) -> int:
    """The largest sequence ever used, that of a damaged file included; 0 for none."""
    entries = [*part_entries(run.location, "events"), *listing.list_files(run.location / DAMAGED_FOLDER)]
    named = [int(match[1]) for entry in entries if (match := _EVENTS_PART.search(entry.name))]
    read = [pc.max(part.table["sequence"]).as_py() or 0 for part in read_parts(run.location, "events")]
    return max([0, *named, *read])


def _table(run: Run, table: str, rows: Sequence[Mapping[str, Any]], filled: Mapping[str, Any]) -> pa.Table:
    """The rows as a table of the run, `filled` values added to each of them."""
    columns = schema(table, run.run_id, run.metric, run.mode)
    given = set().union(*rows)
    unknown = sorted(given - set(columns.names))
    if unknown:
        raise ValueError(f"{table} has no column '{unknown[0]}'")
    values = {name: [row.get(name) for row in rows] for name in given}
    for name, value in filled.items():
        for own in values.get(name, ()):
            if own is not None and own != value:
                raise ValueError(f"{name}: {own!r} in a row that is committed as {value!r}")
        values[name] = [value] * len(rows)
    for name in table_named(table).key:
        if None in values.get(name, [None]):
            raise ValueError(f"a row of {table} has no {name}")
    for field in columns:
        if pa.types.is_integer(field.type):
            # pyarrow would cut the fraction off without a word.
            for own in values.get(field.name, ()):
                if isinstance(own, float):
                    raise ValueError(f"{field.name}: {own!r} is no integer")
    arrays = [
        pa.array(values[field.name], field.type) if field.name in values else pa.nulls(len(rows), field.type)
        for field in columns
    ]
    return pa.Table.from_arrays(arrays, schema=columns)
