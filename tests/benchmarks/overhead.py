"""What a stack spends on anything but training: its rows, its checkpoints, its schedules and its verdicts.

A stack of 64 digits trials is trained as a sweep trains it, in this process; the calls that keep its books are
timed, from the end of its first epoch to that of its last. Verdicts are ASHA's, asked for at every rung but not
heeded, so that the stack stays whole; the messages to Ray that bring them in a sweep are not in it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import torch
from loops import CPU
from measuring import ROOT, Comparison

import raydnn.training.loop
from raydnn.launch.runs.runs import begin
from raydnn.launch.tuning.judging import Judging, ray_scheduler
from raydnn.search.algorithms.registry import propose
from raydnn.search.packing import pack
from raydnn.space.space import build_space
from raydnn.spec.reading.load import load_job
from raydnn.store.commit import EventLog
from raydnn.training.record import Record
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

JOB = ROOT / "jobs" / "digits-asha.yaml"
BOOKKEEPING = (
    (Record, "commit_epoch"),
    (Record, "save_state"),
    (raydnn.training.loop, "_table"),
)
"""The functions whose time counts, beside the verdicts."""


class Clock:
    """Adds up the time within some functions, by their names."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again from nothing."""
        self.began, self.whole = perf_counter(), 0.0
        self.inside: dict[str, float] = {}

    def read(self) -> None:
        """Note how long it is since the beginning."""
        self.whole = perf_counter() - self.began

    def timing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time added to that of `name`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.inside[name] = self.inside.get(name, 0.0) + perf_counter() - started

        return timed


def measure(repeats: int, data: Path | None, n: int = 64, epochs: int = 27) -> list[Comparison]:
    """Compare the time of the bookkeeping with the whole.

    Args:
        repeats: Stacks that are trained.
        data: Not used.
        n: Trials of the stack.
        epochs: Epochs of a trial.
    """
    torch.set_num_threads(1)
    clocks = [_train(n, epochs) for _ in range(repeats + 1)][1:]
    what = f"rows, checkpoints, schedules, verdicts of {n} digits trials, {epochs} epochs"
    inside = tuple(sum(clock.inside.values()) for clock in clocks)
    whole = tuple(clock.whole for clock in clocks)
    key, notes = f"overhead/digits-{n}", json.dumps(clocks[-1].inside)
    return [Comparison(key, what, "the whole training", "s", inside, whole, share=True, notes=notes)]


def _train(n: int, epochs: int) -> Clock:
    clock = Clock()
    with tempfile.TemporaryDirectory() as storage:
        sizes = [f"search.trials={n}", f"search.scheduler.max_epochs={epochs}"]
        options = [*sizes, "search.space.train.batch_size=32", "model.widths=[64]", f"storage={storage}"]
        loaded = load_job(JOB, options)
        search = loaded.job.search
        assert search is not None
        trials = propose(build_space(loaded.job, loaded.positions), loaded.job)
        (plan,) = pack(trials, n)
        run = begin(loaded.job, "", "overhead", "sweep", [plan])
        scheduler = ray_scheduler(search, epochs, loaded.job.seed)
        assert scheduler is not None
        judging = Judging(scheduler, EventLog(run), set())
        judging.expect([plan])
        tell = clock.timing("verdicts", judging.result)

        def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
            if epoch in scheduler.rungs:
                tell(0, epoch, {member.number: member.history[search.metric][-1] for member in members})
            if epoch == 1:
                clock.restart()
            if epoch == epochs:
                clock.read()
            return {}

        with ExitStack() as patches:
            for owner, name in BOOKKEEPING:
                patches.enter_context(patch.object(owner, name, clock.timing(name, getattr(owner, name))))
            run_stack(run, plan, scheduler="asha", judge=judge, workers=Workers(), device=CPU)
    return clock
