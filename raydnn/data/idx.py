"""Pictures in the IDX files of MNIST and its kin."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from raydnn.data.download import downloaded
from raydnn.data.raw import Arrays, Raw, class_numbers
from raydnn.errors import DataError
from raydnn.spec.data import FashionMnist, Mnist

_CLASSES = 10
_PIXELS = (28, 28)
_UNSIGNED_BYTES = 8
_MOST_BYTES = 2**31


def load_idx(spec: Mnist | FashionMnist) -> Raw:
    """Return the pictures of four IDX files: inputs (n, 28, 28) from 0 to 255, ten classes.

    Raises:
        DataError: A file is missing or damaged, or cannot be downloaded when `path` is null.
    """
    folder = downloaded(spec.name) if spec.path is None else Path(spec.path).expanduser()
    return Raw(_part(folder, "train"), _part(folder, "t10k"), _CLASSES, "classification")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes an IDX file holds.

    Args:
        path: The file; one that ends in `.gz` is decompressed.
        dimensions: How many it has to have.

    Raises:
        DataError: The file cannot be read, is no such file, or holds fewer or more bytes than it declares.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, dimensions)
    except EOFError:
        raise DataError(f"{path}: the compressed file is truncated") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _parse(file: BinaryIO | gzip.GzipFile, path: Path, dimensions: int) -> NDArray[np.uint8]:
    magic, expected = file.read(4), bytes((0, 0, _UNSIGNED_BYTES, dimensions))
    if magic != expected:
        raise DataError(
            f"{path}: starts with 0x{magic.hex()}; an IDX file of unsigned bytes with {dimensions} "
            f"dimension{'s' if dimensions > 1 else ''} starts with 0x{expected.hex()}"
        )
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DataError(f"{path}: truncated within its header")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    declared = prod(shape)
    if declared == 0 or declared > _MOST_BYTES:
        raise DataError(f"{path}: declares the shape {shape}; 1 to {_MOST_BYTES} values are allowed")
    content = file.read(declared + 1)
    if len(content) < declared:
        raise DataError(
            f"{path}: truncated: {len(content)} of the {declared} values of shape {shape} are there"
        )
    if len(content) > declared:
        raise DataError(f"{path}: goes on after the {declared} values of its shape {shape}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _part(folder: Path, part: str) -> Arrays:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != _PIXELS:
        raise DataError(
            f"{images_path}: pictures of {_size(images.shape[1:])} pixels; {_size(_PIXELS)} are allowed"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: {len(labels)} labels for the {len(images)} pictures of {images_path.name}"
        )
    return Arrays(images.astype(np.float32), class_numbers(labels, str(labels_path), _CLASSES))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        f"{folder}: there is no file {name} or {name}.gz; data.path is a folder with the four IDX files"
    )


def _size(shape: tuple[Any, ...]) -> str:
    return " × ".join(str(side) for side in shape)
