"""What a sweep of very many, very short trials costs beside their training: proposal, verdict, record; and memory.

The whole command `raydnn sweep` is timed with 10,000 trials of one step, and with as few as make one stack a slot: what
both have alike (imports, Ray's start and end, the processes' start) falls out of the difference.

    overhead a trial = ((wall of many − wall of few) − (training of many − training of few) / slots) / (many − few)

Training is what the stacks' epochs took by the table `epochs`: the step and the evaluation. So all else counts, also
what the processes that train do: drawing parameters, testing the finished trial, its rows and its checkpoint. The
driver's resident memory is read from /proc twice a second while stacks are trained.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from measuring import ROOT, Comparison

import raydnn

JOB = ROOT / "jobs" / "digits.yaml"
STACK = 32
SPACE = {"optimizer.lr": "loguniform(1e-3, 1)", "optimizer.momentum": "uniform(0, 0.99)"}
OVERRIDES = (
    *("model.widths=[16]", "optimizer=sgd", "schedule=constant"),
    "train={epochs: 1, batch_size: full, early_stopping: null, checkpoint_every_epochs: 0}",
)
SAMPLE_SECONDS = 0.5


@dataclass(frozen=True)
class Command:
    """One command, from its start to its end."""

    wall_seconds: float
    training_seconds: float
    """Of all stacks together."""
    memory: tuple[tuple[int, float], ...]
    """Stacks that were trained so far, and the driver's resident memory in MB."""

    def memory_at(self, share: float) -> float:
        """The driver's memory when a share of the stacks were trained; 0 if it was never seen."""
        most = max((stacks for stacks, _ in self.memory), default=0)
        return next((megabytes for stacks, megabytes in self.memory if stacks >= share * most), 0.0)


def measure(repeats: int, data: Path | None, trials: int = 10_000) -> list[Comparison]:
    """Measure the overhead of a trial and the driver's memory.

    Args:
        repeats: Commands with few and with many trials.
        data: Not used.
        trials: Many.
    """
    slots = os.cpu_count() or 1
    few = STACK * slots
    overheads, early, late = [], [], []
    for _ in range(repeats):
        short, long = sweep(few), sweep(trials)
        training = (long.training_seconds - short.training_seconds) / slots
        overheads.append(1000 * (long.wall_seconds - short.wall_seconds - training) / (trials - few))
        early.append(long.memory_at(0.1))
        late.append(long.memory_at(1.0))
    what = f"{trials:,} trials of one step"
    notes = json.dumps({"training_s": long.training_seconds, "wall_s": long.wall_seconds})
    return [
        Comparison(
            *("many/10000/overhead", f"overhead a trial, {what}", "1 ms", "ms"),
            ours=tuple(overheads),
            theirs=(1.0,) * repeats,
            notes=notes,
        ),
        Comparison(
            *("many/10000/memory", f"the driver's memory at the end, {what}", "after a tenth of them", "MB"),
            ours=tuple(late),
            theirs=tuple(early),
            share=True,
        ),
    ]


def sweep(trials: int) -> Command:
    """Train a number of trials with `raydnn sweep`."""
    with tempfile.TemporaryDirectory() as name:
        search = json.dumps({"trials": trials, "stack": STACK, "space": SPACE})
        options = [*OVERRIDES, f"search={search}", f"storage={name}", "--run-id", "many"]
        memory, output = [], Path(name) / "output.log"
        with output.open("w") as log:
            began = perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "raydnn", "sweep", str(JOB), *options], stdout=log, stderr=log
            )
            while process.poll() is None:
                memory.append((_trained(Path(name) / "many"), _resident_megabytes(process.pid)))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(SAMPLE_SECONDS)
            wall_seconds = perf_counter() - began
        if process.returncode:
            raise SystemExit(f"raydnn sweep ended with {process.returncode}:\n{output.read_text()[-2000:]}")
        epochs = raydnn.load(Path(name) / "many", "epochs")
        return Command(wall_seconds, sum(epochs["seconds"].to_pylist()), tuple(memory))


def _trained(run: Path) -> int:
    """How many stacks have committed their epoch."""
    return len(list((run / "epochs").glob("stack-*.parquet")))


def _resident_megabytes(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0
