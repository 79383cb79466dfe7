"""Pictures in the IDX files of MNIST and its kin."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from raydnn.data.sources.download import downloaded
from raydnn.data.sources.files import BROKEN, check_memory, existing_folder, opened, unreadable
from raydnn.data.sources.raw import Arrays, Raw
from raydnn.errors import DataError
from raydnn.spec.data import FashionMnist, Mnist

_CLASSES = 10
_PIXELS = (28, 28)
_UNSIGNED_BYTES = 8
_MOST_BYTES = 2**31
_BYTES_A_PIXEL = 5
"""As it is read, and as a float32."""


def load_idx(spec: Mnist | FashionMnist) -> Raw:
    """Return the pictures of four IDX files: inputs (n, 28, 28) from 0 to 255, ten classes.

    Raises:
        DataError: A file is missing or damaged, or cannot be downloaded when `path` is null.
    """
    folder = downloaded(spec.name) if spec.path is None else existing_folder(spec.path)
    return Raw(
        _part(folder, "train"),
        _part(folder, "t10k"),
        _CLASSES,
        "classification",
        feature_types=("picture",),
    )


def read_idx(path: Path, dimensions: int, pixels: tuple[int, ...] = ()) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes an IDX file holds, compressed or not.

    Args:
        path: The file.
        dimensions: How many it has to have.
        pixels: The sizes of the last dimensions.

    Raises:
        DataError: The file cannot be read, is no such file, holds fewer or more bytes than it declares, or more
            than the memory can take.
    """
    try:
        with opened(path) as file:
            return _parse(file, path, dimensions, pixels)
    except BROKEN as error:
        raise unreadable(path, error) from None


def _parse(file: IO[bytes], path: Path, dimensions: int, pixels: tuple[int, ...]) -> NDArray[np.uint8]:
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
    if pixels and shape[1:] != pixels:
        raise DataError(f"{path}: pictures of {_size(shape[1:])} pixels; {_size(pixels)} are allowed")
    check_memory(path, f"its shape {shape}", declared * _BYTES_A_PIXEL)
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
    images, labels = read_idx(images_path, 3, _PIXELS), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: {len(labels)} labels for the {len(images)} pictures of {images_path.name}"
        )
    outside = np.flatnonzero(labels >= _CLASSES)
    if outside.size:
        row = int(outside[0])
        raise DataError(
            f"{labels_path}, row {row + 1}: label {labels[row]} is given; "
            f"with {_CLASSES} classes the labels 0 to {_CLASSES - 1} are allowed"
        )
    return Arrays(images.astype(np.float32), labels.astype(np.int64))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        f"{folder}: there is no file {name} or {name}.gz; data.path is a folder with the four IDX files"
    )


def _size(shape: tuple[Any, ...]) -> str:
    return " × ".join(str(side) for side in shape)
