from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydnn.data.sources.idx import load_idx, read_idx
from raydnn.errors import DataError
from raydnn.spec.data import Mnist

PARTS = {"train": 12, "t10k": 5}


def encoded(array: np.ndarray) -> bytes:
    return (
        struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, n in PARTS.items():
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(encoded(rng.integers(0, 256, (n, 28, 28))))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(encoded(np.arange(n) % 10))
    return tmp_path


def test_pictures_and_labels_are_read(folder: Path) -> None:
    raw = load_idx(Mnist(path=str(folder)))
    assert raw.test is not None
    expected = np.frombuffer((folder / "t10k-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    assert raw.test.inputs.shape == (5, 28, 28)
    assert raw.test.inputs.dtype == np.float32
    assert np.array_equal(raw.test.inputs.ravel(), expected)
    assert raw.train.targets.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert (raw.classes, raw.task) == (10, "classification")


def test_compressed_files_hold_the_same(folder: Path) -> None:
    plain = load_idx(Mnist(path=str(folder)))
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = load_idx(Mnist(path=str(folder)))
    assert np.array_equal(plain.train.inputs, packed.train.inputs)
    assert np.array_equal(plain.train.targets, packed.train.targets)


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "empty": (IMAGES, lambda b: b"", "starts with 0x; .* starts with 0x00000803"),
    "labels for images": (IMAGES, lambda b: encoded(np.arange(12)), "starts with 0x00000801; .* 0x00000803"),
    "short header": (IMAGES, lambda b: b[:9], "truncated within its header"),
    "truncated": (IMAGES, lambda b: b[:-1], r"truncated: 9407 of the 9408 values of shape \(12, 28, 28\)"),
    "longer": (LABELS, lambda b: b + b"\0", "goes on after the 12 values"),
    "none": (LABELS, lambda b: encoded(np.zeros(0)), r"declares the shape \(0,\)"),
    "huge": (LABELS, lambda b: b[:4] + b"\xff" * 4, r"declares the shape \(4294967295,\); 1 to 2147483648"),
    "fewer labels": (LABELS, lambda b: encoded(np.arange(7)), f"7 labels for the 12 pictures of {IMAGES}"),
    "label out of range": (
        LABELS,
        lambda b: encoded(np.array([0] * 4 + [10] + [0] * 7)),
        "row 5: label 10 is given; with 10 classes the labels 0 to 9 are allowed",
    ),
    "other size": (IMAGES, lambda b: encoded(np.zeros((12, 8, 9))), "pictures of 8 × 9 pixels; 28 × 28 are"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_with_what_is_wrong(folder: Path, damage: str) -> None:
    name, change, message = DAMAGES[damage]
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{name}.*{message}") as error:
        load_idx(Mnist(path=str(folder)))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match=f"no file {LABELS} or {LABELS}.gz"):
        load_idx(Mnist(path=str(folder)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(encoded(np.arange(200)), mtime=0)[:-20], "truncated"),
        (b"", "starts with 0x;"),
    ],
)
def test_a_damaged_compressed_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"labels.gz: .*{message}"):
        read_idx(path, 1)


@given(st.integers(0, 60), st.integers(0, 255))
def test_a_changed_byte_of_a_compressed_file_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    array = np.arange(40)
    content = bytearray(gzip.compress(encoded(array), mtime=0))
    content[position % len(content)] = value
    path = tmp_path_factory.mktemp("idx") / "labels.gz"
    path.write_bytes(bytes(content))
    try:
        found = read_idx(path, 1)
    except DataError:
        return
    assert np.array_equal(found, array)
