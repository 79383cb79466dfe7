"""Twenty kills at random moments over one sweep, of its driver and of the processes that train: nothing changes."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from math import isnan
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raydnn.store.read import load

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(3000)]

KILLS = 20
MOST_COMMITS, MOST_SECONDS = 8, 0.2
"""Between two kills: commits of epochs of stacks, and a moment after the last of them."""
RETRIES = 3
"""How often Tune starts a stack whose process died; after so many of them the driver has its turn."""
JOB = """
name: kills
seed: 5
data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [16]}
optimizer: sgd
search:
  scheduler: {name: asha, min_epochs: 5, max_epochs: 80, eta: 2}
  trials: 90
  stack: 6
  space:
    optimizer: [sgd, adamw]
    optimizer.sgd.lr: choice(0.01, 0.1, 1e12)
    optimizer.adamw.lr: loguniform(1e-3, 1e-1)
    train.batch_size: choice(4, 8)
    regularization.dropout: uniform(0, 0.5)
"""
PART = re.compile(r"stack-(\d+)\.a(\d+)\.e(\d+)")


def results(run: Path) -> dict[str, Any]:
    """All that must not depend on what was killed."""
    trials: list[dict[str, Any]] = load(run, "trials").to_pylist()
    of_trial = ("trial_id", "config_hash", "seed", "state", "stop_reason", "epochs", "rung", "best_value")
    of_epoch = ("trial_id", "epoch", "step", "train_loss", "validation_loss", "validation_accuracy", "lr")
    of_verdict = ("trial_id", "epoch", "kind", "rung", "value", "cutoff")
    events = [row for row in load(run, "events").to_pylist() if row["kind"] in ("stopped", "promoted")]
    finished = [row for row in trials if row["state"] == "COMPLETED"]
    return {
        "trials": [tuple(row[name] for name in of_trial) for row in trials],
        "epochs": [
            tuple("nan" if isinstance(v := row[name], float) and isnan(v) else v for name in of_epoch)
            for row in load(run, "epochs").to_pylist()
        ],
        "verdicts": sorted(tuple(str(row[name]) for name in of_verdict) for row in events),
        "winner": min(finished, key=lambda row: row["best_value"])["trial_id"],
    }


class Watch:
    """The commits of a run, as the names of their files tell of them."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.commits: set[tuple[int, int, int]] = set()
        """(stack, attempt, epoch)."""

    def look(self) -> int:
        """Note what has been committed; return how much that is."""
        names = [PART.match(path.name) for path in (self.run / "epochs").glob("stack-*.parquet")]
        self.commits |= {(int(name[1]), int(name[2]), int(name[3])) for name in names if name}
        return len(self.commits)

    def again(self) -> list[int]:
        """For each start of a stack but the first, how many of its epochs an earlier one had committed."""
        epochs: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for stack, attempt, epoch in self.commits:
            epochs[stack][attempt].add(epoch)
        return [
            len(of_stack[attempt] & set().union(*(of_stack[a] for a in of_stack if a < attempt)))
            for of_stack in epochs.values()
            for attempt in sorted(of_stack)[1:]
        ]


def test_kills_at_random_moments(
    raydnn: Callable[..., Any], left_over: Callable[..., Any], tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(JOB)
    code, output = raydnn(
        tmp_path / "undisturbed", "sweep", str(job), f"storage={tmp_path}", "--run-id", "undisturbed"
    ).end()
    assert code == 0, output

    rng, run = Random(0), tmp_path / "killed"
    watch, killed = Watch(run), {"driver": 0, "worker": 0}
    command = raydnn(run, "sweep", str(job), f"storage={tmp_path}", "--run-id", "killed")
    in_a_row = 0
    for _ in range(KILLS):
        until = watch.look() + rng.randint(1, MOST_COMMITS)
        command.wait_until(lambda until=until: watch.look() >= until)
        time.sleep(rng.uniform(0, MOST_SECONDS))
        victim = "driver" if in_a_row == RETRIES else rng.choice(["driver", "worker"])
        killed[victim] += 1
        if victim == "worker":
            in_a_row += 1
            os.kill(command.worker("ray::ImplicitFunc"), signal.SIGKILL)
            continue
        in_a_row = 0
        started = command.descendants()
        command.process.send_signal(signal.SIGKILL)
        assert command.end()[0] == -signal.SIGKILL
        # On a busy machine what is about to start takes a while to find its head gone, Ray's agents a minute.
        for pid in left_over({p: title for p, title in started.items() if not title.endswith("Agent")}):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        command = raydnn(run, "sweep", "--resume", str(run))
    while command.process.poll() is None:
        watch.look()
        time.sleep(0.02)
    code, output = command.end()
    assert code == 0, output

    again = watch.again()
    print(f"killed: {killed}; starts that computed epochs again, and how many: {again}")
    assert min(killed.values()) >= KILLS // 4
    assert max(again) <= 1
    assert results(run) == results(tmp_path / "undisturbed")
