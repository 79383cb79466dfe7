"""What all tests share."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from pyarrow import fs

from raydnn.store.storage.files import Location


@pytest.fixture(autouse=True)
def no_ray_ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps that are called inside the tests' process, and end before they train, start no Ray in it."""
    if request.node.get_closest_marker("ray") is None:
        monkeypatch.setattr("raydnn.launch.engine.on_ray.engines.Embedded.ahead", lambda _self: nullcontext())


class _Bucket(fs.FSSpecHandler):
    """A store in memory that counts what it is asked, and marks folders as Arrow does on S3."""

    calls: Counter[str]

    def __getattribute__(self, name: str) -> Any:
        if (
            name in ("get_file_info", "get_file_info_selector", "delete_dir", "delete_file")
            or "open_" in name
        ):
            self.calls[name] += 1
        return super().__getattribute__(name)

    def delete_file(self, path: str) -> None:
        super().delete_file(path)
        # Arrow puts an empty object in the folder's place, so that it does not vanish with its last file.
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)


@dataclass(frozen=True)
class ObjectStore:
    """A bucket, and how often its store was called."""

    location: Location
    calls: Counter[str]


@pytest.fixture
def object_store() -> ObjectStore:
    """A store that is no local folder."""
    from fsspec.implementations.memory import MemoryFileSystem

    bucket = _Bucket(MemoryFileSystem(skip_instance_cache=True))
    bucket.calls = Counter()
    return ObjectStore(Location(fs.PyFileSystem(bucket), f"bucket-{uuid4().hex}", "memory"), bucket.calls)
