"""What is remembered of submitted runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydnn.errors import StoreError
from raydnn.launch.cluster.submissions import (
    Submission,
    forget,
    recall,
    recall_all,
    remember,
    submissions_folder,
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_remembers_newest_first_and_forgets() -> None:
    old = Submission("a-1", "http://one:8265", "train", "/r", "2026-01-01T00:00:00+00:00")
    new = Submission("b.2", "http://two:8265", "sweep", "s3://b/r", "2026-01-02T00:00:00+00:00")
    for each in (old, new):
        remember(each)
    assert recall("a-1") == old
    assert recall_all() == [new, old]
    assert {path.stat().st_mode & 0o777 for path in submissions_folder().iterdir()} == {0o600}
    assert submissions_folder().stat().st_mode & 0o777 == 0o700
    forget("a-1")
    forget("a-1")
    assert recall("a-1") is None


def test_damaged_files_and_hostile_ids_are_unknown(state: Path) -> None:
    submissions_folder().mkdir(parents=True)
    (submissions_folder() / "torn.json").write_text('{"run_id": "to')
    (submissions_folder() / "short.json").write_text('{"run_id": "short"}')
    (state / "raydnn" / "evil.json").write_text("{}")
    assert recall_all() == []
    assert [recall(run_id) for run_id in ("torn", "short", "../evil", "", "never")] == [None] * 5


def test_an_unwritable_state_folder_is_named(state: Path) -> None:
    (state / "raydnn").write_text("a file")
    with pytest.raises(StoreError, match="raydnn/submissions"):
        remember(Submission("a-1", "http://one:8265", "train", "/r", ""))
