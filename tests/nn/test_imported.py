"""Where a user's own code is found: in the folder that its path names, in the present one, or installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from raydnn.errors import JobError
from raydnn.nn.imported import imported


@pytest.fixture(autouse=True)
def _two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(Path.cwd()))])
    for folder in ("project", "shell"):
        (tmp_path / folder / "theirs_to_find").mkdir(parents=True)
        (tmp_path / folder / "theirs_to_find/losses.py").write_text(f"def where():\n    return '{folder}'\n")
        (tmp_path / folder / "theirs_to_find/__init__.py").touch()
        (tmp_path / folder / "json.py").write_text("def where():\n    pass\n")
    monkeypatch.chdir(tmp_path / "shell")
    for name in ("theirs_to_find.losses", "theirs_to_find"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("started", ["console script", "python -m"])
def test_the_folder_of_the_path_comes_before_the_present_one(
    started: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if started == "python -m":
        monkeypatch.syspath_prepend(tmp_path / "shell")
    assert imported(f"{tmp_path}/project/theirs_to_find.losses:where", "loss.path", "function")() == "project"


def test_the_present_folder_is_looked_in_too(tmp_path: Path) -> None:
    for path in (f"{tmp_path}/none/theirs_to_find.losses:where", "theirs_to_find.losses:where"):
        assert imported(path, "loss.path", "function")() == "shell"


def test_another_module_of_the_name_is_never_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(JobError) as raised:
        imported(f"{tmp_path}/project/json:where", "loss.path", "function")
    assert "another module 'json' comes before it, " in str(raised.value)
    assert "give yours another name" in str(raised.value)
