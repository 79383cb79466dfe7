"""Downloading the data sets that are published as files with known checksums."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from raydnn.errors import DataError

_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Publication:
    """Files published under one address."""

    address: str
    """URL of their folder, with the closing slash."""
    md5: Mapping[str, str]
    """File name → its published MD5 sum."""


PUBLICATIONS: dict[str, Publication] = {
    "mnist": Publication(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion_mnist": Publication(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}


def downloaded(name: str) -> Path:
    """Return the folder with a published data set's files, downloading those that are missing or damaged.

    Args:
        name: A key of `PUBLICATIONS`.

    Returns:
        `$XDG_CACHE_HOME/raydnn/<name>`, where XDG_CACHE_HOME is `~/.cache` unless it is set.

    Raises:
        DataError: A file cannot be downloaded or stored, or is not the published one.
    """
    publication = PUBLICATIONS[name]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "raydnn" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file_name, md5 in publication.md5.items():
            path = folder / file_name
            if not (path.is_file() and _md5(path) == md5):
                _download(publication.address + file_name, path, md5)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"{name} cannot be downloaded from {publication.address} into {folder}: {_reason(error)}; "
            "give data.path, a folder that holds its files"
        ) from None
    return folder


def _download(url: str, path: Path, md5: str) -> None:
    """Put a file in place at once and only if it is the published one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
        ):
            found = _copy(response, file, path.name)
            file.flush()
            os.fsync(file.fileno())
        if found != md5:
            raise DataError(
                f"{url}: not the published file: its MD5 sum is {found} instead of {md5}; "
                "give data.path, a folder that holds the files"
            )
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _copy(response: Any, file: BinaryIO, name: str) -> str:
    """Write a response to a file, with progress on stderr, and return the MD5 sum of what was written."""
    digest, done = hashlib.md5(usedforsecurity=False), 0
    length = response.headers.get("Content-Length")
    total = f" of {int(length) / 1e6:.1f}" if length else ""
    live = sys.stderr.isatty()
    while chunk := response.read(_CHUNK_BYTES):
        file.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        if live:
            print(f"\rdownloading {name}: {done / 1e6:.1f}{total} MB", end="", file=sys.stderr, flush=True)
    print("" if live else f"downloaded {name}: {done / 1e6:.1f} MB", file=sys.stderr)
    return digest.hexdigest()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__
