"""Exported tables hold the rows of the store, each once, as other libraries read them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas
import pyarrow.parquet as pq
import pytest

from raydnn.analysis.export import OPTIONS, export
from raydnn.errors import StoreError, UsageError
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_epochs, commit_trials
from raydnn.store.read import load
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run
from raydnn.store.tables import TABLES


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two trials, whose second epoch was committed twice."""
    run = create_run(str(tmp_path / "results"), "r", "", {"metric": "validation_loss", "mode": "min"})
    trial = TrialSpec(data=Digits(), optimizer=Sgd(lr=0.1))
    commit_trials(run, 0, 1, [trial_row(run, "t00000", 0, trial, state="FAILED", error='a, "b"\nc\'d')])
    losses = {1: 0.5, 2: math.nan}
    commit_epochs(run, 0, 1, [{"trial_id": "t00000", "epoch": e, "train_loss": 9.0} for e in losses])
    commit_epochs(run, 0, 2, [{"trial_id": "t00000", "epoch": e, "train_loss": v} for e, v in losses.items()])
    return run


@pytest.mark.parametrize("form", OPTIONS)
def test_every_row_is_there_once(run: Run, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "it's here"
    written = export(run, form, folder)
    assert written == [folder / f"{table}.{form}" for table in TABLES]
    readers = {"csv": pandas.read_csv, "json": pandas.read_json, "parquet": pandas.read_parquet}
    epochs = readers[form](folder / f"epochs.{form}")
    assert epochs["epoch"].tolist() == [1, 2]
    assert epochs["train_loss"][0] == 0.5
    assert math.isnan(epochs["train_loss"][1])
    (trial,) = readers[form](folder / f"trials.{form}").to_dict("records")
    assert trial["error"] == 'a, "b"\nc\'d'
    assert trial["p_optimizer_lr"] == 0.1


def test_parquet_has_the_tables_types_and_json_is_one_array(run: Run, tmp_path: Path) -> None:
    export(run, "parquet", tmp_path)
    found, own = pq.read_table(tmp_path / "trials.parquet"), load(run.uri, "trials")
    assert found.schema.names == own.schema.names
    # DuckDB says how exact a time is and in which zone by itself.
    assert [f.type for f in found.schema if "_at" not in f.name] == [
        f.type for f in own.schema if "_at" not in f.name
    ]
    export(run, "json", tmp_path)
    rows = json.loads((tmp_path / "epochs.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert [row["train_loss"] for row in rows] == [0.5, None]


def test_nothing_is_written_over_and_a_folder_that_cannot_be_is_named(run: Run, tmp_path: Path) -> None:
    export(run, "csv", tmp_path)
    with pytest.raises(UsageError, match=r"trials\.csv' is there already"):
        export(run, "csv", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        export(run, "csv", tmp_path / "file" / "folder")
