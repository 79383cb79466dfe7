"""Listings say what the operating system does."""

from __future__ import annotations

import os
from pathlib import Path

from raydnn.store.storage.files import locate
from raydnn.store.storage.listing import list_files, list_folders, list_names, modified_ns


def test_files_and_folders_are_told_apart_each_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(name.encode() * 3)
        (tmp_path / f"folder-{name}").mkdir()
    os.utime(tmp_path / "a", ns=(7, 1_700_000_000_123_456_789))
    folder = locate(tmp_path)
    assert [(entry.name, entry.size) for entry in list_files(folder)] == [("a", 3), ("b", 3)]
    assert list_files(folder)[0].modified_ns == 1_700_000_000_123_456_789
    assert list_folders(folder) == ["folder-a", "folder-b"]
    assert sorted(list_names(folder)) == ["a", "b", "folder-a", "folder-b"]
    files = [folder / name for name in ("a", "none", "folder-a")]
    assert modified_ns(files) == [1_700_000_000_123_456_789, None, None]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    missing = locate(tmp_path / "none")
    assert (list_files(missing), list_folders(missing), list_names(missing)) == ([], [], [])
    assert modified_ns([]) == []
