"""What `--resume` refuses and tells before it goes on, and which ids a new run may have."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from raydnn.errors import StoreError, UsageError
from raydnn.launch.runs.resuming import check_resumable, id_of_new
from raydnn.launch.runs.runs import begin
from raydnn.search.packing import StackPlan
from raydnn.spec.job import Job
from raydnn.spec.trial import trial_of_job
from raydnn.store.commit import commit_epochs
from raydnn.store.run import Run, rewrite_resolved
from raydnn.store.runs import open_run


@pytest.fixture
def job(tmp_path: Path) -> Job:
    fields: dict[str, Any] = {
        "name": "x",
        "data": {"name": "digits", "validation_fraction": 0.2},
        "optimizer": "sgd",
        "storage": str(tmp_path),
    }
    return Job.model_validate(fields)


@pytest.fixture
def run(job: Job) -> Run:
    return begin(job, "", "r", "train", [StackPlan(0, ((0, trial_of_job(job)),))])


def test_a_run_as_it_was_left_goes_on_without_a_word(run: Run) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_resumable(run)


def test_changed_versions_and_lost_rows_are_told(run: Run) -> None:
    resolved = run.resolved()
    rewrite_resolved(run, {**resolved, "versions": {**resolved["versions"], "torch": "1.0"}})
    commit_epochs(run, 0, 1, [{"trial_id": "t00000", "epoch": 2}])
    with (
        pytest.warns(UserWarning, match=r"other versions: torch 1\.0, now"),
        pytest.warns(match="1 of its rows"),
    ):
        check_resumable(run)


def test_a_renamed_run_goes_on_and_a_copy_beside_it_does_not(run: Run, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "r", tmp_path / "backup")
    with pytest.raises(UsageError, match=r"backup is a copy of run r, which .*/r holds; go on with that one"):
        check_resumable(open_run(str(tmp_path), "backup"))
    check_resumable(run)
    shutil.rmtree(tmp_path / "r")
    check_resumable(open_run(str(tmp_path), "backup"))


def test_the_id_of_a_renamed_run_is_taken(run: Run, job: Job, tmp_path: Path) -> None:
    (tmp_path / "r").rename(tmp_path / "final")
    with pytest.raises(StoreError, match=r"run id 'r' is taken: .*/final holds the run of that id"):
        id_of_new("r", job)
    assert id_of_new("s", job) == "s"
    assert id_of_new(None, job).startswith("x-")
