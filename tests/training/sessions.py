"""Sessions of tests: one that trains a stack, one that dies in between, and one of several worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run, create_run, run_at
from raydnn.store.storage.files import locate
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

HERE = Path(__file__).parent
CURVES = ["epoch", "train_loss", "validation_loss", "validation_accuracy", "grad_norm"]

Judge = Callable[[int, Sequence[Member]], Mapping[int, Verdict] | None]


class Died(BaseException):
    """The process is gone; no handler of ordinary errors may run on."""


class DyingOs:
    """`os` that dies at its n-th change of the disk: a write is torn, and nothing works afterwards."""

    changes = ("open", "write", "fsync", "replace", "unlink", "mkdir", "makedirs", "rmdir")

    def __init__(self, lives: int) -> None:
        self.lives = lives

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.changes:
            return real

        def change(*arguments: Any, **options: Any) -> Any:
            self.lives -= 1
            if self.lives < 0:
                if self.lives == -1 and name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise Died(name)
            return real(*arguments, **options)

        return change


def keep_all(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
    """A judge that stops nobody."""
    return {}


def dying_at(target: int, judge: Judge = keep_all) -> Judge:
    """A judge before whose verdict at one epoch the process dies."""

    def judged(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict] | None:
        if epoch == target:
            raise Died
        return judge(epoch, members)

    return judged


def train_plan(
    run: Run,
    plan: StackPlan,
    judge: Judge = keep_all,
    *,
    scheduler: str = "none",
    workers: Workers = Workers(),  # noqa: B008
) -> None:
    """Train a stack to its end on this machine's CPU."""
    run_stack(run, plan, scheduler=scheduler, judge=judge, workers=workers, device=torch.device("cpu"))


def trained_run(folder: Path, name: str, trials: Sequence[tuple[int, TrialSpec]], dies_at: int = 0) -> Run:
    """A run of one stack, that died before an epoch's verdict and was taken up again."""
    run = create_run(str(folder), name, "", {"metric": "validation_loss", "mode": "min"})
    plan = StackPlan(0, tuple(trials))
    if dies_at:
        try:
            train_plan(run, plan, dying_at(dies_at))
        except Died:
            pass
        else:
            raise AssertionError("it was to die")
    train_plan(run, plan)
    return run


def curves(run: Run, trial_id: str | None = None) -> list[dict[str, Any]]:
    """What an epoch measured, of one trial or of all."""
    rows = read(run.location, "epochs").select(["trial_id", *CURVES]).to_pylist()
    return [{name: row[name] for name in CURVES} for row in rows if trial_id in (None, row["trial_id"])]


def run_workers(work: str, *arguments: str, count: int = 2) -> None:
    """Run Python text in processes that have joined gloo: it finds `workers` and its `arguments`."""
    script = f"from sessions import joined\nworkers, arguments = joined()\n{work}"
    paths = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(rank), str(count), f"{folder}/rendezvous", *arguments],
                env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": paths},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        try:
            messages = [process.communicate(timeout=240)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
    assert [process.returncode for process in processes] == [0] * count, "\n".join(messages)


def joined() -> tuple[Workers, list[str]]:
    """In a worker's process: which worker it is, and what it was given."""
    rank, count, rendezvous, *arguments = sys.argv[1:]
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=int(rank), world_size=int(count)
    )
    return Workers(int(rank), int(count)), arguments


def train_by_workers(run: Run, stacks: Sequence[Sequence[tuple[int, TrialSpec]]], before: str = "") -> None:
    """Train stacks by two workers, after a text that is run in each."""
    texts = json.dumps([[(number, trial.config_json) for number, trial in stack] for stack in stacks])
    work = "from sessions import train_texts\ntrain_texts(workers, *arguments)"
    run_workers(f"{before}\n{work}", run.uri, texts)


def train_texts(workers: Workers, uri: str, texts: str) -> None:
    """In a worker's process: train the stacks of a run."""
    for number, trials in enumerate(json.loads(texts)):
        plan = StackPlan(number, tuple((member, TrialSpec.from_json(text)) for member, text in trials))
        train_plan(run_at(locate(uri)), plan, workers=workers)
