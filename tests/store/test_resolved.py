"""resolved.json as it was written, or an error that names it: never another run's."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.errors import StoreError
from raydnn.store.resolved import RESOLVED, encoded, read_resolved
from raydnn.store.run import Run
from raydnn.store.storage.files import locate

WRITTEN: dict[str, Any] = {
    "run_id": "r",
    "command": "sweep",
    "metric": "validation_loss",
    "mode": "min",
    "job": {"name": "ü", "seed": 0, "optimizer": {"lr": 1e-3}, "pairs": (1, 2)},
    "numbers": {2: "two", 10: "ten"},
}
AS_READ = json.loads(json.dumps(WRITTEN))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_changes_in_it_is_told_or_changes_nothing(folder: Path, data: st.DataObject) -> None:
    content = bytearray(encoded(WRITTEN))
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (folder / RESOLVED).write_bytes(content)
    reading = functools.partial(read_resolved, locate(folder))
    found = _or_told(reading)
    if found is not None:
        # Another name for the digest alone leaves a field that nobody reads.
        assert {name: found.get(name) for name in AS_READ} == AS_READ


def _or_told(reading: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return reading()
    except StoreError as error:
        told = str(error)
    assert f"/{RESOLVED} is damaged: " in told
    return None


@pytest.mark.parametrize(
    "field", [{"command": "traim"}, {"metric": "validation_lozs"}, {"mode": "mim"}, {"mode": 1}]
)
def test_one_without_a_digest_is_read_if_it_can_be(folder: Path, field: dict[str, Any]) -> None:
    (folder / RESOLVED).write_text(json.dumps(AS_READ))
    assert read_resolved(locate(folder)) == AS_READ
    (folder / RESOLVED).write_text(json.dumps({**AS_READ, **field}))
    (name,) = field
    with pytest.raises(StoreError, match=rf"{RESOLVED} is damaged: {name}: .*; allowed: "):
        read_resolved(locate(folder))


@pytest.mark.parametrize("text", ["[]", "", "{", "\x00" * 9, '{"a": ' * 100_000])
def test_what_is_no_json_object_is_told(folder: Path, text: str) -> None:
    (folder / RESOLVED).write_text(text)
    with pytest.raises(StoreError, match=f"{RESOLVED} is damaged"):
        read_resolved(locate(folder))


def test_a_job_that_cannot_be_read_is_told_with_its_field(run: Run) -> None:
    with pytest.raises(StoreError, match=r"resolved.json is damaged: job.*data.*: Field required"):
        run.job()
