"""File operations fail, or the process dies at one: an error names its file, and the next start puts all in order."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pyarrow import fs

from raydnn.store.storage import files

GOOD = {"over", "named", "harmless"}

CHANGES = ("open", "write", "fsync", "replace", "unlink", "mkdir", "makedirs", "rmdir")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
ACTIONS = ("train", "resume")
SAMPLE = 10


class Operations:
    """`os`, and a local file system, whose n-th operation fails; with `died` it and all later ones end the process."""

    def __init__(self, fails_at: int, error: int, died: type[BaseException] | None) -> None:
        self.left, self._error, self._died = fails_at, error, died
        self.failed = ""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CHANGES:
            return real

        def change(*arguments: Any, **options: Any) -> Any:
            if self.next(name) and name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            self.act(name, arguments[0])
            return real(*arguments, **options)

        return change

    def next(self, name: str) -> bool:
        """Count an operation; whether it is the one that fails."""
        self.left -= 1
        return self.left == -1

    def act(self, name: str, subject: Any) -> None:
        """Fail, where this is the one."""
        if self.left == -1:
            self.failed = f"{name} {subject}"
        if self._died is not None and self.left < 0:
            raise self._died(name)
        if self.left == -1:
            raise OSError(self._error, os.strerror(self._error))

    def local(self) -> type:
        """A local file system whose reading counts, too."""
        operations = self

        class Local(fs.LocalFileSystem):
            def open_input_file(self, path: str) -> Any:
                operations.next("read")
                operations.act("read", path)
                return super().open_input_file(path)

        return Local


def attempt(
    chaos: Any,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    fails_at: int,
    error: int | None,
    epochs_of: Callable[[Path], Any],
    raw_keys_twice: Callable[[Path], int],
    truth: Any,
) -> tuple[str, str]:
    """Train, or resume, with an operation that fails (or a death, without an error); then go on with a whole disk.

    Returns:
        `over` (it has fewer operations), `named`, `harmless`, or what is wrong; and what was done and said.
    """
    storage = chaos.copy("interrupted")
    if action == "train":
        (storage / "r").rename(chaos.folder / "aside")
        _remove(chaos.folder / "aside")
    died = type("Gone", (BaseException,), {}) if error is None else None
    operations = Operations(fails_at, error or 0, died)
    act = chaos.train if action == "train" else chaos.resume
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", operations)
        patch.setattr(files, "fs", _Namespace(operations.local()))
        try:
            said = act(storage)
        except BaseException as gone:
            if died is None or not isinstance(gone, died):
                raise
            said = None
    if operations.left >= 0:
        return "over", ""
    done = f"{action}: {operations.failed} ({'death' if error is None else errno.errorcode[error]})"
    done += f"\n  exit {said.code}: {said.text}" if said is not None else ""
    verdict = "harmless"
    if said is not None:
        if said.crashed or said.code not in (0, 5):
            return "crash", done
        if said.code == 5:
            verdict = "named"
            if str(storage) not in said.text:
                return "unnamed", done
    again = chaos.resume(storage) if (storage / "r" / "resolved.json").exists() else chaos.train(storage)
    done += f"\n  then exit {again.code}: {again.text}"
    if again.code != 0:
        return "blocked", done
    if raw_keys_twice(storage):
        return "twice", done
    return (verdict if epochs_of(storage) == truth else "wrong"), done


class _Namespace:
    def __init__(self, local: type) -> None:
        self.LocalFileSystem = local

    def __getattr__(self, name: str) -> Any:
        return getattr(fs, name)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def campaign(
    chaos: Any, monkeypatch: pytest.MonkeyPatch, chosen: Iterator[tuple[str, int, int | None]], *tools: Any
) -> Iterator[tuple[str, str]]:
    """The attempts at some (action, operation, error)."""
    epochs_of, raw_keys_twice = tools
    truth = epochs_of(chaos.template("finished"))
    for action, fails_at, error in chosen:
        yield attempt(chaos, monkeypatch, action, fails_at, error, epochs_of, raw_keys_twice, truth)


def test_a_few_operations_fail_and_the_next_start_mends_it(
    chaos: Any, monkeypatch: pytest.MonkeyPatch, seed: int, epochs_of: Any, raw_keys_twice: Any, hold: Any
) -> None:
    rng = Random(seed)
    chosen = ((rng.choice(ACTIONS), rng.randrange(120), rng.choice([*ERRORS, None])) for _ in range(SAMPLE))
    counts = hold(campaign(chaos, monkeypatch, chosen, epochs_of, raw_keys_twice), GOOD)
    assert counts["named"] + counts["harmless"] > counts["over"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_operation_fails_and_the_next_start_mends_it(
    chaos: Any,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    campaign_count: int,
    epochs_of: Any,
    raw_keys_twice: Any,
    hold: Any,
) -> None:
    rng = Random(seed)
    chosen = (
        (action, number // 2, rng.choice(ERRORS) if number % 2 else None)
        for number in range(campaign_count // 2)
        for action in ACTIONS
    )
    counts = hold(campaign(chaos, monkeypatch, chosen, epochs_of, raw_keys_twice), GOOD)
    assert counts["named"] + counts["harmless"] > counts["over"]
