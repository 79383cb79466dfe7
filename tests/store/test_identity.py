"""A run is who its resolved.json says, whatever its folder is called and however often it was copied."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from raydnn.errors import NotFoundError, StoreError
from raydnn.store.commit import commit_epochs, commit_trials
from raydnn.store.read import load, read
from raydnn.store.run import Run, create_run, run_at
from raydnn.store.runs import holders, latest_run, list_runs, open_run, runs_of
from raydnn.store.storage.files import locate

RESOLVED = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": {"name": "test"}}


@pytest.fixture
def filled(new_run: Callable[[str], Run]) -> Run:
    run = new_run("one")
    commit_trials(run, 0, 1, [{"trial_id": "t00000", "number": 0}])
    return run


def ids(path: str | Path) -> list[tuple[str, str]]:
    rows = load(path).select(["run_id", "trial_id"]).to_pylist()
    return [(row["run_id"], row["trial_id"]) for row in rows]


def test_a_renamed_run_keeps_its_id_and_is_found_by_both_names(filled: Run, storage: str) -> None:
    Path(storage, "one").rename(Path(storage, "final"))
    run = open_run(storage, "final")
    assert run.run_id == "one"
    assert open_run(storage, "one") == run
    commit_trials(run, 0, 2, [{"trial_id": "t00000", "number": 0, "epochs": 2}])
    assert ids(storage) == ids(Path(storage, "final")) == [("one", "t00000")]
    Path(storage, "final").rename(Path(storage, "my best (1)"))
    assert open_run(storage, "my best (1)").run_id == "one"
    assert list_runs(storage) == ["my best (1)"]
    with pytest.raises(NotFoundError):
        open_run(storage, "two")


def test_a_run_of_an_earlier_version_is_who_its_files_say(filled: Run, storage: str) -> None:
    Path(storage, "one").rename(Path(storage, "final"))
    path = Path(storage, "final", "resolved.json")
    path.write_text(json.dumps(RESOLVED))
    assert open_run(storage, "final").run_id == "one"
    create_run(storage, "empty", "", RESOLVED)
    Path(storage, "empty", "resolved.json").write_text(json.dumps(RESOLVED))
    assert open_run(storage, "empty").run_id == "empty"


@pytest.mark.parametrize("names", [("one", "backup"), ("backup", "copy")])
def test_of_copies_one_is_read_and_the_other_told(filled: Run, storage: str, names: tuple[str, str]) -> None:
    if "one" not in names:
        Path(storage, "one").rename(Path(storage, names[0]))
    shutil.copytree(Path(storage, names[0]), Path(storage, names[1]))
    with pytest.warns(
        UserWarning, match=f"{names[1]} is a copy of run one, which is read from .*/{names[0]}"
    ):
        assert ids(storage) == [("one", "t00000")]
    with pytest.warns(UserWarning, match="is a copy"):
        assert [run.location.name for run in runs_of(locate(storage))] == [names[0]]
    assert [run.location.name for run in holders(locate(storage), "one")] == list(names)
    assert latest_run(storage) == names[0]
    # Asked for by its folder, a copy is read, too.
    assert ids(Path(storage, names[1])) == [("one", "t00000")]


def test_a_damaged_run_is_left_out_and_told(filled: Run, new_run: Callable[[str], Run], storage: str) -> None:
    new_run("two").local_path("resolved.json").write_text("{")
    with pytest.warns(UserWarning, match=r"two/resolved.json is damaged.*the run is left out"):
        assert ids(storage) == [("one", "t00000")]


def test_a_run_that_lost_its_resolved_json_is_no_unknown_run(filled: Run, storage: str) -> None:
    filled.local_path("resolved.json").unlink()
    with pytest.raises(StoreError, match=r"one/resolved.json is missing"):
        open_run(storage, "one")
    with pytest.raises(StoreError, match="'one' is taken"):
        create_run(storage, "one", "", RESOLVED)
    with pytest.warns(UserWarning, match=r"one/resolved.json is missing; the run is left out"):
        assert ids(storage) == []


@pytest.mark.parametrize("left", [(), ("epochs", "logs"), ("trials", ".tmp", "checkpoints")])
def test_half_a_run_of_an_earlier_version_does_not_block_its_id(storage: str, left: tuple[str, ...]) -> None:
    half = Path(storage, "r")
    for name in left:
        (half / name).mkdir(parents=True)
    half.mkdir(parents=True, exist_ok=True)
    (half / "job.yaml").write_text("name: x")
    if ".tmp" in left:
        (half / ".tmp" / "resolved.json.0123").write_text("{")
    create_run(storage, "r", "name: y", RESOLVED)
    assert list_runs(storage) == ["r"]
    assert (half / "job.yaml").read_text() == "name: y"
    assert [path.name for path in Path(storage).iterdir()] == ["r"]


def test_a_folder_with_anything_else_in_it_is_taken(storage: str) -> None:
    Path(storage, "r").mkdir(parents=True)
    Path(storage, "r", "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="'r' is taken"):
        create_run(storage, "r", "", RESOLVED)
    assert [path.name for path in Path(storage).rglob("*")] == ["r", "notes.txt"]


def test_rows_of_a_run_are_there_as_soon_as_it_is(storage: str) -> None:
    def fill(begun: Run) -> None:
        assert list_runs(storage) == []
        commit_trials(begun, 0, 0, [{"trial_id": "t00000", "number": 0, "state": "PENDING"}])

    run = create_run(storage, "r", "", RESOLVED, fill)
    assert read(run.location, "trials")["run_id"].to_pylist() == ["r"]
    assert run_at(run.location) == run

    def fail(begun: Run) -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="full"):
        create_run(storage, "s", "", RESOLVED, fail)
    assert [path.name for path in Path(storage).iterdir()] == ["r"]


def test_a_file_of_another_run_is_set_aside(filled: Run, new_run: Callable[[str], Run]) -> None:
    other = new_run("two")
    commit_trials(other, 1, 1, [{"trial_id": "t00001", "number": 1}])
    commit_trials(other, 0, 2, [{"trial_id": "t00000", "number": 0}])
    for path in other.local_path("trials").iterdir():
        shutil.copy(path, filled.local_path("trials"))
    with pytest.warns(UserWarning, match="it is of run two") as told:
        assert ids(filled.uri) == [("one", "t00000")]
    assert len(told) == 2
    assert ids(filled.uri) == [("one", "t00000")]


def test_what_an_earlier_version_wrote_after_a_rename_is_the_runs_own(
    filled: Run, new_run: Callable[[str], Run]
) -> None:
    later = new_run("two")
    commit_trials(later, 0, 2, [{"trial_id": "t00000", "number": 0, "epochs": 9}])
    shutil.copy(later.local_path("trials", "stack-00000.a002.parquet"), filled.local_path("trials"))
    filled.local_path("resolved.json").write_text(json.dumps(RESOLVED))
    rows = read(filled.location, "trials").select(["run_id", "epochs"]).to_pylist()
    assert rows == [{"run_id": "one", "epochs": 9}]


def test_a_file_of_another_table_is_set_aside(filled: Run) -> None:
    commit_epochs(filled, 3, 1, [{"trial_id": "t00000", "epoch": 1}])
    name = "stack-00003.a001.e000001.parquet"
    shutil.copy(filled.local_path("epochs", name), filled.local_path("trials", name))
    with pytest.warns(UserWarning, match="it is a file of `epochs`"):
        assert ids(filled.uri) == [("one", "t00000")]
