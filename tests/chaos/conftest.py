"""What the storage campaigns share: small runs trained in this process, commands in this process, and the truth.

`CHAOS_SEED` and `CHAOS_COUNT` say what is drawn and how much; the campaigns of full size are marked slow.
"""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from pyarrow.parquet import ParquetFile

from raydnn.cli.main import main
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run, run_at
from raydnn.store.storage.files import locate
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

SEED = int(os.environ.get("CHAOS_SEED", "0"))
EPOCHS, KILLED_AFTER = 6, 4
JOB = {
    "name": "x",
    "data": {"name": "digits", "validation_fraction": 0.2, "scaling": "unit"},
    "model": {"widths": [4]},
    "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
    "train": {"epochs": EPOCHS, "batch_size": 256, "diagnostics": True},
}
MEASURED = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr", "step")
Rows = Mapping[tuple[str, int], tuple[Any, ...]]


class Died(BaseException):
    """The process is gone; no handler of ordinary errors may run on."""


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    text: str

    @property
    def crashed(self) -> bool:
        """Whether it met what no one had thought of."""
        return self.code not in (0, 1, 2, 3, 5) or "unexpected" in self.text or "Traceback" in self.text


@dataclass
class Chaos:
    """A storage with templates of runs, and the means to train and to read them here."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    killed_after: list[int] = field(default_factory=list)
    """Where not empty: the epoch after which training dies."""

    def command(self, *arguments: str) -> Said:
        """Run `raydnn ARGUMENTS`."""
        self.capsys.readouterr()
        try:
            main([*arguments])
        except SystemExit as exited:
            code = exited.code if isinstance(exited.code, int) else 1
            captured = self.capsys.readouterr()
            return Said(code, captured.out + captured.err)
        except Exception:
            return Said(99, traceback.format_exc())
        raise AssertionError("main() came back")

    def train(self, storage: Path) -> Said:
        """Train the job as run `r` of a storage."""
        job = self.folder / "job.yaml"
        job.write_text(json.dumps({**JOB, "storage": str(storage)}))
        return self.command("train", str(job), "--run-id", "r")

    def resume(self, storage: Path) -> Said:
        """Go on with run `r` of a storage."""
        return self.command("train", "--resume", str(storage / "r"))

    def fit(self, run: Run, trial: TrialSpec, resources: Any, workers: int) -> None:
        """Stand in for Ray Train, in this process."""

        def judge(epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
            if epoch in self.killed_after:
                raise Died
            return {}

        run_stack(
            run_at(locate(run.uri)),
            StackPlan(0, ((0, trial),)),
            scheduler="none",
            judge=judge,
            workers=Workers(),
            device=torch.device("cpu"),
        )

    def template(self, name: str) -> Path:
        """A storage with run `r`: `finished`, or `interrupted`, as a kill leaves it."""
        storage = self.folder / name
        if not storage.exists():
            self.killed_after = [KILLED_AFTER] if name == "interrupted" else []
            try:
                said = self.train(storage)
                assert said.code == 0, said.text
            except Died:
                assert name == "interrupted"
            self.killed_after = []
        return storage

    def copy(self, name: str) -> Path:
        """A fresh copy of a template."""
        storage = self.folder / "work"
        shutil.rmtree(storage, ignore_errors=True)
        shutil.copytree(self.template(name), storage)
        return storage


@pytest.fixture(scope="session")
def chaos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture
def chaos(chaos_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Chaos:
    """Commands and runs in this process."""
    made = Chaos(chaos_folder, capsys)
    monkeypatch.chdir(chaos_folder)
    monkeypatch.setattr("raydnn.launch.engine.on_ray.training.fit", made.fit)
    return made


@pytest.fixture(scope="session")
def epochs_of() -> Callable[[Path], Rows]:
    """What was measured, as `raydnn.load` gives it: (trial, epoch) → numbers."""

    def rows(storage: Path) -> Rows:
        table = read(locate(storage / "r"), "epochs").to_pylist()
        return {(row["trial_id"], row["epoch"]): tuple(row[name] for name in MEASURED) for row in table}

    return rows


@pytest.fixture(scope="session")
def raw_keys_twice() -> Callable[[Path], int]:
    """How many keys the files of run `r` hold more than once, read as other programs read them."""

    def count(storage: Path) -> int:
        twice = 0
        for table, key in (
            ("trials", ["trial_id"]),
            ("epochs", ["trial_id", "epoch"]),
            ("events", ["sequence"]),
        ):
            rows = [
                tuple(row.values())
                for path in sorted((storage / "r" / table).glob("*.parquet"))
                for row in ParquetFile(path).read(["run_id", *key]).to_pylist()
            ]
            twice += len(rows) - len(set(rows))
        return twice

    return count


@pytest.fixture(scope="session")
def seed() -> int:
    """What all that is drawn depends on."""
    return SEED


@pytest.fixture(scope="session")
def campaign_count() -> int:
    """How much a campaign of full size tries."""
    return int(os.environ.get("CHAOS_COUNT", "400"))


@pytest.fixture
def hold() -> Callable[[Iterable[tuple[str, str]], Collection[str]], Counter[str]]:
    """Counts the verdicts of a campaign, each with what was done and said, and demands that all are good."""

    def count(results: Iterable[tuple[str, str]], good: Collection[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        wrong = []
        for verdict, done in results:
            counts[verdict] += 1
            print(f"\r{dict(counts)}", end="", flush=True)
            if verdict not in good:
                wrong.append(f"{verdict}: {done}")
        print()
        assert not wrong, f"{dict(counts)}\n" + "\n\n".join(wrong[:5])
        return counts

    return count
