"""What the store's tests share: a small run, rows for it, and a disk that dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sessions import Died, DyingOs

from raydnn.store.run import Run, create_run
from raydnn.store.storage import files

RESOLVED = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": {"name": "test"}}


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "results")


@pytest.fixture
def new_run(storage: str) -> Callable[[str], Run]:
    return lambda run_id: create_run(storage, run_id, "name: test\n", RESOLVED)


@pytest.fixture
def run(new_run: Callable[[str], Run]) -> Run:
    return new_run("one")


@pytest.fixture
def every_crash(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `action` on a fresh `prepare()`, dying at change 0, 1, 2, ... until it lives; `check` each time."""

    def crashes(
        prepare: Callable[[], Any], action: Callable[[Any], None], check: Callable[[Any], None]
    ) -> int:
        for lives in range(1000):
            subject = prepare()
            with monkeypatch.context() as patch:
                patch.setattr(files, "os", DyingOs(lives))
                try:
                    action(subject)
                    died = False
                except Died:
                    died = True
            check(subject)
            if not died:
                return lives
        raise AssertionError("it never ends")

    return crashes
