"""Writing is atomic at every step, errors are readable, addresses are told apart."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from raydnn.errors import StoreError
from raydnn.store.storage import files, listing
from raydnn.store.storage.files import Location, locate, read_bytes, write_bytes, write_together


def test_a_path_and_a_file_address_are_the_same_folder(tmp_path: Path) -> None:
    assert locate(tmp_path) == locate(f"file://{tmp_path}")
    assert locate(str(tmp_path)).uri == str(tmp_path)
    assert (locate(tmp_path) / "a" / "b").parent.name == "a"


def test_an_object_store_keeps_its_address() -> None:
    location = locate("s3://bucket/results?region=eu-central-1&endpoint_override=localhost:1")
    assert not location.local
    assert (
        location / "run"
    ).uri == "s3://bucket/results/run?region=eu-central-1&endpoint_override=localhost:1"


@pytest.mark.parametrize("address", ["ftp://host/results", "nonsense://x"])
def test_an_unknown_address_says_what_is_allowed(address: str) -> None:
    with pytest.raises(StoreError, match="allowed: a folder"):
        locate(address)


def test_a_crash_at_any_step_leaves_the_old_or_the_new_file(
    tmp_path: Path, every_crash: Callable[..., int]
) -> None:
    target, scratch = locate(tmp_path) / "f", locate(tmp_path) / "scratch"
    seen = set()

    def prepare() -> Location:
        write_bytes(target, b"old" * 1000, scratch=scratch)
        return target

    def check(location: Location) -> None:
        seen.add(read_bytes(location))
        assert {path.name for path in tmp_path.iterdir()} == {"f", "scratch"}

    steps = every_crash(
        prepare, lambda location: write_bytes(location, b"new" * 1000, scratch=scratch), check
    )
    assert steps >= 5
    assert seen == {b"old" * 1000, b"new" * 1000}


def test_a_crash_at_any_step_leaves_each_of_several_files_whole(
    tmp_path: Path, every_crash: Callable[..., int]
) -> None:
    folder = locate(tmp_path)
    seen = set()

    def prepare() -> Location:
        write_together(folder, {"a": b"old", "b": b"old"})
        return folder

    def check(location: Location) -> None:
        seen.add((read_bytes(location / "a"), read_bytes(location / "b")))

    every_crash(prepare, lambda location: write_together(location, {"a": b"new", "b": b"new"}), check)
    assert (
        {(b"old", b"old"), (b"new", b"new")}
        <= seen
        <= {(a, b) for a in (b"old", b"new") for b in (b"old", b"new")}
    )


def test_private_files_are_for_the_owner_only(tmp_path: Path) -> None:
    write_bytes(locate(tmp_path) / "secret", b"x", private=True)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def small_files_only() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, previous)


@pytest.mark.usefixtures("small_files_only")
def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path: Path) -> None:
    target = locate(tmp_path) / "f"
    write_bytes(target, b"old")
    with pytest.raises(StoreError, match=f"{tmp_path}/f cannot be written: File too large"):
        write_bytes(target, b"x" * (2 << 20))
    assert read_bytes(target) == b"old"
    assert os.listdir(tmp_path / ".tmp") == []


def test_an_io_error_of_fsync_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", broken)
    with pytest.raises(StoreError, match="Input/output error"):
        write_bytes(locate(tmp_path) / "f", b"x")


def test_a_missing_folder_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_bytes(locate(tmp_path) / "gone" / "f", b"x", scratch=locate(tmp_path) / ".tmp")
    with pytest.raises(FileNotFoundError):
        read_bytes(locate(tmp_path) / "gone")


def test_an_object_store_takes_one_upload_under_the_final_name(tmp_path: Path) -> None:
    bucket = Location(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "", "s3")
    write_bytes(bucket / "f", b"x")
    assert read_bytes(bucket / "f") == b"x"
    assert [entry.name for entry in listing.list_files(bucket)] == ["f"]
    files.remove(bucket / "f")
    files.remove(bucket / "f")
    assert listing.list_files(bucket) == []


def test_a_folder_that_the_disk_does_not_take_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=f"{tmp_path} cannot be written: Input/output error"):
        files.sync_folder(locate(tmp_path))
