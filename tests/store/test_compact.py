"""Compaction may die at any moment: every row is there once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raydnn.errors import StoreError
from raydnn.store.commit import EventLog, commit_epochs, commit_layers, commit_trials, next_attempt
from raydnn.store.compact import compact
from raydnn.store.read import read
from raydnn.store.run import Run, create_run
from raydnn.store.storage import files
from raydnn.store.tables import TABLES

RESOLVED = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": {}}


def filled(storage: str, run_id: str) -> Run:
    run = create_run(storage, run_id, "", RESOLVED)
    for attempt in (1, 2):
        for epoch in (attempt, attempt + 1):
            commit_epochs(run, 0, attempt, [{"trial_id": "t00000", "epoch": epoch, "lr": float(attempt)}])
            layer = {"layer": "layers.0", "depth": 0, "weight_norm": float(attempt)}
            commit_layers(run, 0, attempt, [{"trial_id": "t00000", "epoch": epoch, **layer}])
        commit_trials(run, 0, attempt, [{"trial_id": "t00000", "number": 0, "epochs": attempt + 1}])
    log = EventLog(run)
    log.add("started")
    log.commit()
    return run


def rows(run: Run) -> dict[str, list[Any]]:
    return {
        "trials": read(run.location, "trials").select(["trial_id", "epochs", "attempts"]).to_pylist(),
        "epochs": read(run.location, "epochs").select(["trial_id", "epoch", "lr"]).to_pylist(),
        "events": read(run.location, "events").select(["sequence", "kind"]).to_pylist(),
        "layers": read(run.location, "layers").select(["epoch", "layer", "weight_norm"]).to_pylist(),
    }


TRUTH = {
    "trials": [{"trial_id": "t00000", "epochs": 3, "attempts": 2}],
    "epochs": [{"trial_id": "t00000", "epoch": e, "lr": lr} for e, lr in ((1, 1.0), (2, 2.0), (3, 2.0))],
    "events": [{"sequence": 1, "kind": "started"}],
    "layers": [
        {"epoch": e, "layer": "layers.0", "weight_norm": norm} for e, norm in ((1, 1.0), (2, 2.0), (3, 2.0))
    ],
}


def files_of(run: Run) -> dict[str, int]:
    return {table: len(list(run.local_path(table).iterdir())) for table in TABLES}


def test_one_file_a_table_and_again_none_new(storage: str) -> None:
    run = filled(storage, "r")
    compact(run)
    assert rows(run) == TRUTH
    assert files_of(run) == dict.fromkeys(TABLES, 1)
    before = sorted(run.local_path().glob("*/*.parquet"))
    compact(run)
    assert sorted(run.local_path().glob("*/*.parquet")) == before


def test_a_resumed_run_is_compacted_again(storage: str) -> None:
    run = filled(storage, "r")
    compact(run)
    attempt = next_attempt(run, 0)
    commit_epochs(run, 0, attempt, [{"trial_id": "t00000", "epoch": 3, "lr": 3.0}])
    compact(run)
    assert read(run.location, "epochs")["lr"].to_pylist() == [1.0, 2.0, 3.0]
    assert files_of(run) == dict.fromkeys(TABLES, 1)
    assert next_attempt(run, 0) == 4


def test_a_crash_at_any_step_then_another_compaction(tmp_path: Path, every_crash: Callable[..., int]) -> None:
    numbers = iter(range(1000))
    subjects: list[Run] = []

    def prepare() -> Run:
        subjects.append(filled(str(tmp_path), f"r{next(numbers)}"))
        return subjects[-1]

    def check(run: Run) -> None:
        assert rows(run) == TRUTH
        assert next_attempt(run, 0) == 3

    assert every_crash(prepare, compact, check) >= 15
    for run in subjects:
        compact(run)
        check(run)
        assert files_of(run) == dict.fromkeys(TABLES, 1)


def test_two_compactions_at_a_time_lose_nothing(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one compaction's reading and writing another runs whole, and more is committed."""
    run = filled(storage, "r")
    write, nested = files.write_bytes, []

    def meanwhile(*arguments: Any, **options: Any) -> None:
        if not nested:
            nested.append(True)
            compact(run)
            commit_trials(run, 0, 2, [{"trial_id": "t00000", "number": 0, "epochs": 9}])
        write(*arguments, **options)

    monkeypatch.setattr(files, "write_bytes", meanwhile)
    compact(run)
    assert rows(run)["epochs"] == TRUTH["epochs"]
    assert rows(run)["trials"] == [{"trial_id": "t00000", "epochs": 9, "attempts": 2}]


def test_a_failure_to_remove_keeps_the_rows(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = filled(storage, "r")

    def refuse(location: files.Location) -> None:
        raise StoreError(f"{location} cannot be removed")

    with monkeypatch.context() as patch:
        patch.setattr(files, "remove", refuse)
        with pytest.raises(StoreError):
            compact(run)
    assert rows(run) == TRUTH
