"""Paths that are none, and archives that ask for what there is not."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydnn.data.sources.files import existing_file, existing_folder
from raydnn.data.sources.idx import load_idx, read_idx
from raydnn.data.sources.npz import load_npz
from raydnn.errors import DataError
from raydnn.spec.data import Mnist, Npz

PATHS = {
    "a home of nobody": ("~nobody-here/t.csv", "~nobody-here/t.csv: there is no user nobody-here"),
    "a long name": ("x" * 300 + ".csv", "xxx...: cannot be read: File name too long"),
    "an address": ("https://example.org/t.csv", "https://example.org/t.csv: is an address; .* download it"),
    "an object store": ("s3://bucket/t.csv", "s3://bucket/t.csv: is an address"),
    "a NUL": ("t\0.csv", "'t.x00.csv': no path holds the character NUL"),
    "a device": ("/dev/null", "/dev/null: is a pipe, a socket or a device"),
    "below a file": (f"{__file__}/t.csv", "there is no such file"),
    "nothing": ("", "is a folder"),
}


@pytest.mark.parametrize("case", PATHS)
def test_paths_that_are_none_are_refused_in_words(case: str) -> None:
    path, message = PATHS[case]
    with pytest.raises(DataError, match=message) as error:
        existing_file(path)
    assert "\n" not in str(error.value)


def test_what_is_no_regular_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe, a socket or a device; a file is needed"):
        existing_file(str(tmp_path / "pipe"))
    with pytest.raises(DataError, match=r"there is no such file; .* has no data"):
        existing_file(str(tmp_path / "data" / "t.csv"))
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="cannot be read: Too many levels of symbolic links"):
        existing_file(str(tmp_path / "a"))
    (tmp_path / "f").touch()
    assert existing_folder(str(tmp_path)) == tmp_path
    with pytest.raises(DataError, match="is a file; a folder is needed"):
        load_idx(Mnist(path=str(tmp_path / "f")))


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - len(text) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(folder: Path, **members: bytes) -> Npz:
    with zipfile.ZipFile(folder / "t.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return Npz(path=str(folder / "t.npz"))


LABELS = header("(4,)", "<i8") + np.arange(4).tobytes()
ARCHIVES = {
    "a huge shape": (
        header("(4, 100000000000)"),
        r"'inputs': declares the shape \(4, 100000000000\) of float32",
    ),
    "an overflowing shape": (header("(4, 99999999999999999999)"), "'inputs': declares the shape"),
    "too little": (header("(4, 3)") + b"\0" * 40, "48 bytes; 40 are there"),
    "too much": (header("(4, 3)") + b"\0" * 50, "48 bytes; 50 are there"),
    "objects": (header("(4, 3)", "|O") + b"\x80\x04.", "'inputs': holds Python objects"),
    "texts": (header("(4, 1)", "<U2") + b"\0" * 32, "holds <U2; numbers are needed"),
    "complex numbers": (header("(4, 1)", "<c8") + b"\0" * 32, "holds complex64; numbers are needed"),
    "times": (header("(4, 1)", "<M8[s]") + b"\0" * 32, r"holds datetime64\[s\]; numbers are needed"),
    "no dimension": (header("()") + b"\0" * 4, r"has the shape \(\)"),
    "no header": (b"", "cannot be read"),
    "a bad header": (b"\x93NUMPY\x01\x00\x05\x00{bad}", "cannot be read"),
    "a late version": (b"\x93NUMPY\x09\x00", "cannot be read|version 9.0"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_arrays_that_cannot_be_are_refused_before_they_are_read(tmp_path: Path, case: str) -> None:
    content, message = ARCHIVES[case]
    with pytest.raises(DataError, match=rf"t\.npz.*{message}") as error:
        load_npz(archive(tmp_path, inputs=content, targets=LABELS))
    assert "\n" not in str(error.value)


def test_an_archive_larger_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = archive(tmp_path, inputs=header("(4, 1000000)") + b"\0" * 16_000_000, targets=LABELS)
    assert (tmp_path / "t.npz").stat().st_size < 100_000
    monkeypatch.setattr("raydnn.data.sources.files.free_memory_bytes", lambda: 2**20)
    with pytest.raises(DataError, match=r"t\.npz: its arrays inputs, targets asks? for 0\.0 GiB of memory"):
        load_npz(spec)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_of_an_archive_is_found_or_harmless(tmp_path: Path, position: int, value: int) -> None:
    inputs = np.arange(12, dtype=np.float32)
    spec = archive(tmp_path, inputs=header("(4, 3)") + inputs.tobytes(), targets=LABELS)
    content = bytearray(Path(spec.path).read_bytes())
    content[position % len(content)] = value
    Path(spec.path).write_bytes(content)
    try:
        raw = load_npz(spec)
    except DataError as error:
        message = str(error)
    else:
        message = "read"
        assert raw.train.inputs.tolist() == inputs.reshape(4, 3).tolist()
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is no NumPy archive"),
        (b"PAR1....", "looks like a Parquet file"),
        (b"\x80\x04\x95", "looks like a Python pickle"),
        (b"PK\x03\x04cut", "is truncated"),
    ],
)
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(DataError, match=rf"t\.npz: {message}"):
        load_npz(Npz(path=str(tmp_path / "t.npz")))


def test_pictures_are_measured_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pictures"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 60_000, 28, 28))
    monkeypatch.setattr("raydnn.data.sources.files.free_memory_bytes", lambda: 2**20)
    with pytest.raises(DataError, match=r"its shape \(60000, 28, 28\) asks for 0\.2 GiB of memory"):
        read_idx(path, 3, (28, 28))
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2, 30_000, 30_000))
    with pytest.raises(DataError, match="pictures of 30000 × 30000 pixels; 28 × 28 are allowed"):
        read_idx(path, 3, (28, 28))
