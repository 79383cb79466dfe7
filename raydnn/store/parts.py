"""Parts: the Parquet files a table consists of, each written whole, sealed, and checked when it is read."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from raydnn.errors import StoreError, first_line
from raydnn.store.resolved import read_resolved
from raydnn.store.storage import files
from raydnn.store.storage.files import Location
from raydnn.store.storage.listing import Entry, list_files
from raydnn.store.storage.seal import broken, seal
from raydnn.store.tables import columns_of, empty_table, table_named

COMPACT_PREFIX = "compact-"
DAMAGED_FOLDER = "damaged"
RUN_ID = b"raydnn.run_id"
TABLE = b"raydnn.table"
_STACK_PART = re.compile(r"(?:^|\.)stack-(\d+)\.a(\d+)\.")
_TRIES = 5
_READERS = 8
_FEW = 3
"""So few files, as of a run that ended, are read before threads have started."""


class DamagedFileWarning(UserWarning):
    """A file of the store is damaged; the rest was read without it."""


@dataclass(frozen=True)
class Part:
    """One file of a table as it was read."""

    entry: Entry
    table: pa.Table


def stack_part(stack: int, attempt: int, suffix: str = "") -> str:
    """The name of a file that a stack's attempt writes."""
    return f"stack-{stack:05d}.a{attempt:03d}{suffix}.parquet"


def stack_attempts(names: Iterable[str]) -> dict[int, int]:
    """Stack → its highest attempt, by the names of its files."""
    highest: dict[int, int] = {}
    for name in names:
        match = _STACK_PART.search(name)
        if match:
            stack, attempt = int(match[1]), int(match[2])
            highest[stack] = max(attempt, highest.get(stack, 0))
    return highest


def encode(table: pa.Table) -> bytes:
    """A table as a sealed Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", use_dictionary=False, write_page_checksum=True, write_statistics=True
    )
    return seal(sink.getvalue().to_pybytes())


def part_entries(run: Location, table: str) -> list[Entry]:
    """The files of a table in order of precedence: where rows are equally new, a later file's row counts."""
    return [entry for entry in list_files(run / table) if entry.name.endswith(".parquet")]


def id_of_files(run: Location) -> str | None:
    """The run's id as its first readable file says; None where there is none."""
    for entry in part_entries(run, "trials"):
        try:
            content = pq.read_schema(pa.BufferReader(files.read_bytes(run / "trials" / entry.name)))
        except (pa.ArrowException, OSError, ValueError, StoreError):
            continue
        return _run_id(empty_table(content))
    return None


def read_parts(run: Location, table: str, columns: Sequence[str] | None = None) -> list[Part]:
    """Read every file of a table; a damaged one is set aside with a warning that names it.

    Args:
        run: The run's folder.
        table: The table.
        columns: Those to read, beside what tells rows apart; None: all.

    Raises:
        StoreError: A file cannot be read at all (permissions, I/O error).
    """
    for _ in range(_TRIES):
        before = part_entries(run, table)
        contents = _contents([run / table / entry.name for entry in before])
        # Files only vanish after a file that holds their rows has appeared, so one look that
        # sees neither must be followed by another.
        if None not in contents and _compacted(before) == _compacted(part_entries(run, table)):
            wanted = wanted_columns(table, columns)
            parts = [_part(run, table, wanted, *pair) for pair in zip(before, contents, strict=True)]
            return _of_one_run(run, table, [part for part in parts if part is not None])
    raise StoreError(f"{run / table} is compacted again and again while it is read")


def _contents(locations: list[Location]) -> list[bytes | ValueError | None]:
    if len(locations) < _FEW:
        return [_content(location) for location in locations]
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(_content, locations))


def _content(location: Location) -> bytes | ValueError | None:
    """A file's bytes; None where it is gone; the error where a disk cannot read it, which is damage as well."""
    try:
        return files.read_bytes(location)
    except FileNotFoundError:
        return None
    except StoreError as error:
        if not location.local or not _is_broken_disk(error):
            raise
    try:
        return files.read_bytes(location)
    except FileNotFoundError:
        return None
    except StoreError as error:
        return ValueError(first_line(error.__cause__ or error))


def _is_broken_disk(error: StoreError) -> bool:
    return getattr(error.__cause__, "errno", None) == errno.EIO


def _compacted(entries: list[Entry]) -> set[str]:
    return {entry.name for entry in entries if entry.name.startswith(COMPACT_PREFIX)}


def wanted_columns(table: str, columns: Sequence[str] | None) -> pa.Schema:
    """The columns that are read, in the table's order."""
    definition, every = table_named(table), columns_of(table)
    if columns is None:
        return every
    needed = {*columns, *definition.key, definition.attempt}
    return pa.schema([field for field in every if field.name in needed])


def _part(
    run: Location, table: str, wanted: pa.Schema, entry: Entry, data: bytes | ValueError | None
) -> Part | None:
    location = run / table / entry.name
    try:
        return Part(entry, _decoded(data, table, wanted))
    except ValueError:
        # On some file systems a file that is replaced while it is read comes out mixed: look again.
        again = _content(location)
    try:
        return Part(entry, _decoded(again, table, wanted))
    except ValueError as error:
        warnings.warn(_set_aside(run, table, entry.name, str(error)), DamagedFileWarning, stacklevel=2)
        return None


def _decoded(data: bytes | ValueError | None, table: str, wanted: pa.Schema) -> pa.Table:
    if isinstance(data, ValueError):
        raise data
    return decode(data or b"", table, wanted)


def decode(data: bytes, table: str, wanted: pa.Schema) -> pa.Table:
    """Read a part's bytes; ValueError says what is wrong with them."""
    if broken(data):
        raise ValueError("its bytes do not match its seal")
    # A table read whole keeps the columns of other versions.
    names = None if wanted is columns_of(table) else wanted.names
    try:
        # Threads would not pay for such small files.
        content = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read(
            columns=names, use_threads=False
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(first_line(error)) from error
    definition = table_named(table)
    of_table = (content.schema.metadata or {}).get(TABLE, table.encode()).decode()
    if of_table != table:
        raise ValueError(f"it is a file of `{of_table}`")
    missing = [name for name in definition.key if name not in content.column_names]
    if missing:
        raise ValueError(f"it has no column {missing[0]}")
    without = [name for name in definition.key if content[name].null_count]
    if without:
        raise ValueError(f"it has a row without {without[0]}")
    if content.schema.equals(wanted):
        return content
    try:
        known = empty_table(wanted)
        widened = pa.concat_tables([known, content], promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(first_line(error)) from error
    return widened.replace_schema_metadata(content.schema.metadata)


def _of_one_run(run: Location, table: str, parts: list[Part]) -> list[Part]:
    """Set files of other runs aside; those that an earlier version wrote after the run was renamed are its own."""
    if len({_run_id(part.table) for part in parts} - {None}) < 2:
        return parts
    try:
        said = read_resolved(run).get("run_id")
    except StoreError:
        return parts
    own, found = said or id_of_files(run), []
    for part in parts:
        other = _run_id(part.table)
        if other in (None, own):
            found.append(part)
        elif said is None:
            place = part.table.schema.get_field_index("run_id")
            ids = pa.array([own] * part.table.num_rows, pa.string())
            found.append(replace(part, table=part.table.set_column(place, "run_id", ids)))
        else:
            told = _set_aside(run, table, part.entry.name, f"it is of run {other}")
            warnings.warn(told, DamagedFileWarning, stacklevel=2)
    return found


def _run_id(table: pa.Table) -> str | None:
    told = (table.schema.metadata or {}).get(RUN_ID)
    return None if told is None else str(told.decode(errors="replace"))


def _set_aside(run: Location, table: str, name: str, reason: str) -> str:
    """Move a damaged file out of its table where that is possible; return the warning."""
    location = run / table / name
    message = f"{location} is damaged ({reason})"
    if run.local:
        target = run / DAMAGED_FOLDER / f"{table}.{name}"
        try:
            files.make_folder(run / DAMAGED_FOLDER)
            files.rename(location, target)
            return f"{message}; it was moved to {target}, the rest is read without it"
        except (StoreError, FileNotFoundError):
            pass
    return f"{message}; the rest is read without it"
