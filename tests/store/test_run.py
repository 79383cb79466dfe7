"""Runs are made once, whole or not at all, and found again."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raydnn.errors import NotFoundError, StoreError
from raydnn.store.run import Run, create_run, new_run_id
from raydnn.store.runs import list_runs, open_run

RESOLVED = {"metric": "validation_accuracy", "mode": "max", "command": "train", "job": {"name": "ü"}}


def test_a_run_is_found_as_it_was_made(storage: str) -> None:
    made = create_run(storage, "r1", "name: ü\n", RESOLVED)
    assert open_run(storage, "r1") == made
    assert made.resolved() == {"run_id": "r1", **RESOLVED}
    assert made.local_path("job.yaml").read_text() == "name: ü\n"
    assert made.local_path("logs").stat().st_mode & 0o777 == 0o700
    assert made.local_path("resolved.json").stat().st_mode & 0o777 == 0o600
    folders = {path.name for path in made.local_path().iterdir() if path.is_dir()}
    assert folders == {"trials", "epochs", "events", "layers", "checkpoints", "logs", ".tmp"}


def test_ids_are_unique_and_tell_the_time() -> None:
    ids = {new_run_id("job") for _ in range(20)}
    assert len(ids) > 15
    assert all(re.fullmatch(r"job-\d{8}-\d{6}-[0-9a-f]{4}", run_id) for run_id in ids)


def test_an_id_is_taken_once(run: Run, storage: str) -> None:
    before = run.local_path("resolved.json").read_bytes()
    with pytest.raises(StoreError, match="'one' is taken"):
        create_run(storage, "one", "", RESOLVED)
    assert run.local_path("resolved.json").read_bytes() == before


@pytest.mark.parametrize("run_id", ["../x", "a/b", "", ".x", "a b", "$(x)"])
def test_an_id_cannot_leave_the_storage(storage: str, run_id: str) -> None:
    with pytest.raises(StoreError, match="not allowed"):
        create_run(storage, run_id, "", RESOLVED)
    with pytest.raises(NotFoundError):
        open_run(storage, run_id)
    assert not os.path.exists(storage)


def test_an_unknown_run_gets_the_nearest(storage: str) -> None:
    create_run(storage, "digits-asha", "", RESOLVED)
    with pytest.raises(NotFoundError, match="Did you mean 'digits-asha'"):
        open_run(storage, "digits-ahsa")


def test_runs_are_listed_newest_first_and_strangers_are_not(storage: str) -> None:
    for run_id in ("b-20260101-000000-aaaa", "a-20260301-000000-aaaa", "c-20260201-000000-aaaa"):
        create_run(storage, run_id, "", RESOLVED)
    (Path(storage) / "notes").mkdir()
    assert [run_id[0] for run_id in list_runs(storage)] == ["a", "c", "b"]
    time.sleep(0.02)
    create_run(storage, "now", "", RESOLVED)
    assert list_runs(storage)[0] == "now"
    assert list_runs(storage + "/nothing") == []


def test_storage_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        create_run(str(tmp_path / "file"), "r", "", RESOLVED)
    with pytest.raises(StoreError, match="cannot be written"):
        create_run(str(tmp_path / "file" / "deeper"), "r", "", RESOLVED)
    assert (tmp_path / "file").read_text() == ""


def test_a_damaged_run_is_named(run: Run) -> None:
    run.local_path("resolved.json").write_text('{"metric": ')
    with pytest.raises(StoreError, match=r"resolved\.json is damaged"):
        run.resolved()
    run.local_path("resolved.json").write_text(json.dumps({"metric": "x"}))
    with pytest.raises(StoreError, match="no 'mode'"):
        open_run(str(run.local_path().parent), "one")


def test_a_crash_while_it_is_made_leaves_a_whole_run_or_none(
    tmp_path: Path, every_crash: Callable[..., int]
) -> None:
    numbers = iter(range(1000))

    def check(storage: str) -> None:
        for run_id in list_runs(storage):
            assert open_run(storage, run_id).resolved() == {"run_id": "r", **RESOLVED}

    steps = every_crash(
        lambda: str(tmp_path / f"s{next(numbers)}"),
        lambda storage: create_run(storage, "r", "name: x", RESOLVED) and None,
        check,
    )
    assert steps > 10
