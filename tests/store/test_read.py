"""Damaged files are set aside, never believed; several runs read as one; every reader can read the files."""

from __future__ import annotations

import errno
import random
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

import raydnn
from raydnn.errors import NotFoundError, StoreError, UsageError
from raydnn.spec.axes.optimizer import Adam, Optimizer, Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import EventLog, commit_epochs, commit_trials
from raydnn.store.compact import compact
from raydnn.store.parts import DamagedFileWarning
from raydnn.store.read import load, read
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run
from raydnn.store.storage import files
from raydnn.store.storage.files import Location


def commit_sweep(run: Run, optimizers: list[Optimizer]) -> None:
    for stack, optimizer in enumerate(optimizers):
        trial_id = f"t{stack:05d}"
        spec = TrialSpec(data=Digits(), optimizer=optimizer)
        state = {"state": "COMPLETED", "best_value": 0.1 * (stack + 1), "started_at": datetime.now(UTC)}
        commit_trials(run, stack, 1, [trial_row(run, trial_id, stack, spec, **state)])
        for epoch in (1, 2):
            commit_epochs(run, stack, 1, [{"trial_id": trial_id, "epoch": epoch, "train_loss": 1 / epoch}])
    log = EventLog(run)
    log.add("started")
    log.commit()


@pytest.fixture
def two_runs(new_run: Callable[[str], Run]) -> list[Run]:
    first, second = new_run("one"), new_run("two")
    commit_sweep(first, [Sgd(lr=0.5, momentum=0.9), Sgd()])
    commit_sweep(second, [Adam(), Adam(beta1=0.5)])
    return [first, second]


@pytest.mark.parametrize("compacted", [False, True])
def test_a_few_columns_are_those_of_the_whole_table(two_runs: list[Run], compacted: bool) -> None:
    run = two_runs[0]
    again = read(run.location, "trials").to_pylist()[1]
    commit_trials(run, 1, 2, [{**again, "state": "FAILED", "attempts": None}])
    if compacted:
        compact(run)
    few = read(run.location, "trials", ["state", "number"])
    assert few.column_names == ["state", "number"]
    assert few.equals(read(run.location, "trials").select(["state", "number"]))
    assert few["state"].to_pylist() == ["COMPLETED", "FAILED"]


@pytest.mark.parametrize("compacted", [False, True])
def test_any_reader_reads_all_runs_without_options(
    two_runs: list[Run], storage: str, monkeypatch: pytest.MonkeyPatch, compacted: bool
) -> None:
    if compacted:
        for run in two_runs:
            compact(run)
    monkeypatch.chdir(Path(storage).parent)
    pattern = "results/*/trials/*.parquet"
    query = f"select p_optimizer_name, count(*), min(best_value) from '{pattern}' group by 1 order by 1"
    assert duckdb.sql(query).fetchall() == [("adam", 2, 0.1), ("sgd", 2, 0.1)]

    by_polars = pl.read_parquet(pattern)
    lazily = pl.scan_parquet(pattern).filter(pl.col("p_optimizer_name") == "adam").collect()
    assert lazily.height == 2
    assert sorted(by_polars["p_optimizer_beta1"].drop_nulls().to_list()) == [0.5, 0.9]

    by_pandas = pd.read_parquet([str(path) for path in sorted(Path().glob(pattern))])
    assert sorted(by_pandas["p_optimizer_momentum"].dropna()) == [0.0, 0.9]
    assert len(pd.read_parquet("results/one/trials")) == 2
    assert list(by_pandas.columns) == by_polars.columns == load("results").column_names


def test_load_takes_a_run_or_a_storage_folder(two_runs: list[Run], storage: str) -> None:
    assert raydnn.load(two_runs[0].uri)["run_id"].to_pylist() == ["one", "one"]
    everything = raydnn.load(storage, table="epochs")
    keys = [(row["run_id"], row["trial_id"], row["epoch"]) for row in everything.to_pylist()]
    assert len(keys) == 8
    assert keys == sorted(set(keys))
    assert raydnn.load(f"file://{storage}", "events").num_rows == 2


def test_load_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        load(tmp_path / "gone")
    assert load(tmp_path).num_rows == 0
    with pytest.raises(UsageError, match="Did you mean 'events'"):
        load(tmp_path, "event")


def test_files_say_whose_they_are(two_runs: list[Run]) -> None:
    compact(two_runs[0])
    for path in two_runs[0].local_path().glob("*/*.parquet"):
        metadata = pq.read_schema(path).metadata
        assert metadata[b"raydnn.run_id"] == b"one"
        assert metadata[b"raydnn.schema_version"] == b"1"
        column = pq.read_metadata(path).row_group(0).column(0)
        assert column.compression == "ZSTD"
        assert column.is_stats_set


def test_a_flipped_bit_anywhere_is_found(run: Run) -> None:
    commit_sweep(run, [Sgd()])
    for table in ("trials", "events"):
        (path,) = run.local_path(table).iterdir()
        data, truth = path.read_bytes(), read(run.location, table)
        positions = random.Random(0).sample(range(len(data) * 8), 200) + [
            8 * len(data) - k for k in range(1, 65)
        ]
        for position in positions:
            mutated = bytearray(data)
            mutated[position // 8] ^= 1 << position % 8
            path.write_bytes(mutated)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = read(run.location, table)
            # Only a flip in the seal's own mark leaves the rows readable, and then they are the true ones.
            assert found.equals(truth) or (found.num_rows == 0 and path.name in str(caught[0].message))
            path.write_bytes(data)


def test_a_truncated_file_is_set_aside_and_named(run: Run) -> None:
    commit_sweep(run, [Sgd(), Adam(), Sgd()])
    path = run.local_path("trials", "stack-00001.a001.parquet")
    data = path.read_bytes()
    for length in (0, 1, 7, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.warns(DamagedFileWarning, match=r"stack-00001\.a001\.parquet is damaged"):
            assert read(run.location, "trials")["number"].to_pylist() == [0, 2]
        assert not path.exists()
        assert run.local_path("damaged", f"trials.{path.name}").read_bytes() == data[:length]
        assert read(run.location, "trials").num_rows == 2


def test_pages_are_checked_where_a_file_has_no_seal(run: Run) -> None:
    path = run.local_path("epochs", "stack-00000.a001.e000001.parquet")
    rows = pa.table(
        {"run_id": ["one"] * 50, "trial_id": ["t00000"] * 50, "epoch": pa.array(range(50), pa.int32())}
    )
    pq.write_table(rows, path, write_page_checksum=True, compression="none", use_dictionary=False)
    assert read(run.location, "epochs").num_rows == 50
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x06\0\0\0t00000", b"\x06\0\0\0t00001", 1))
    with pytest.warns(DamagedFileWarning):
        assert read(run.location, "epochs").num_rows == 0


def test_further_columns_of_another_version_are_kept(run: Run) -> None:
    commit_sweep(run, [Sgd()])
    newer = pa.table(
        {"run_id": ["one"], "trial_id": ["t00009"], "epoch": pa.array([1], pa.int32()), "new": [0.5]}
    )
    pq.write_table(newer, run.local_path("epochs", "x.parquet"))
    table = read(run.location, "epochs")
    assert table["new"].to_pylist() == [None, None, 0.5]
    compact(run)
    assert read(run.location, "epochs").equals(table)


def test_a_stranger_in_the_folder_is_set_aside(run: Run) -> None:
    commit_sweep(run, [Sgd()])
    pq.write_table(pa.table({"x": [1]}), run.local_path("trials", "x.parquet"))
    run.local_path("trials", "notes.txt").write_text("not read")
    with pytest.warns(DamagedFileWarning, match="no column run_id"):
        assert read(run.location, "trials").num_rows == 1


def test_a_store_that_is_not_local_is_read_too(run: Run) -> None:
    commit_sweep(run, [Sgd(), Adam()])
    bucket = fs.SubTreeFileSystem(str(run.local_path().parent), fs.LocalFileSystem())
    remote = Run(Location(bucket, "one", "s3"), "one", run.metric, run.mode)
    run.local_path("trials", "stack-00000.a001.parquet").write_bytes(b"torn")
    with pytest.warns(DamagedFileWarning, match="s3://one/trials/stack-00000"):
        assert read(remote.location, "trials")["number"].to_pylist() == [1]
    run.local_path("trials", "stack-00000.a001.parquet").unlink()
    commit_epochs(remote, 1, 2, [{"trial_id": "t00001", "epoch": 2, "train_loss": 9.0}])
    compact(remote)
    assert read(remote.location, "epochs")["train_loss"].to_pylist() == [1.0, 0.5, 1.0, 9.0]


def test_compaction_during_a_read_hides_no_row(two_runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from raydnn.store import parts

    run = two_runs[0]
    listings = parts.part_entries
    pending: list[Any] = [compact]

    def listed(location: Location, table: str) -> Any:
        entries = listings(location, table)
        if pending:
            pending.pop()(run)
        return entries

    monkeypatch.setattr(parts, "part_entries", listed)
    assert read(run.location, "epochs").num_rows == 4
    assert pending == []


def test_created_by_hand_without_resolved_is_no_run(tmp_path: Path) -> None:
    run = create_run(str(tmp_path), "r", "", {"metric": "train_loss", "mode": "min"})
    commit_sweep(run, [Sgd()])
    run.local_path("resolved.json").unlink()
    assert load(tmp_path).num_rows == 0


def test_what_a_broken_disk_cannot_read_is_set_aside_and_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stack in (0, 1):
        commit_trials(run, stack, 1, [{"trial_id": f"t0000{stack}", "number": stack}])
    read_bytes, failures = files.read_bytes, [0]

    def broken(location: Location) -> bytes:
        if location.name == "stack-00001.a001.parquet" and failures[0] > 0:
            failures[0] -= 1
            raise StoreError(f"{location} cannot be read") from OSError(errno.EIO, "Input/output error")
        return read_bytes(location)

    monkeypatch.setattr(files, "read_bytes", broken)
    failures[0] = 1
    assert read(run.location, "trials").num_rows == 2
    failures[0] = 9
    with pytest.warns(
        DamagedFileWarning, match=r"stack-00001\.a001\.parquet is damaged \(Input/output error\)"
    ):
        assert read(run.location, "trials")["trial_id"].to_pylist() == ["t00000"]
