"""Sweeps whose trials wait for one another, on an embedded Ray, through the real command line."""

from __future__ import annotations

import math
import os
import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raydnn.store.read import load

pytestmark = pytest.mark.ray

JOB = """
name: waiting
seed: 3
data: {name: digits, validation_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [16]}
optimizer: sgd
search:
  algorithm: ALGORITHM
  scheduler: {name: SCHEDULER, max_epochs: 9}
  trials: 17
  stack: 3
  space:
    optimizer.lr: choice(0.01, 0.1, 1e12)
    regularization.dropout: uniform(0, 0.5)
"""
SIZES = (9, 5, 3)
"""Trials of Hyperband's brackets for 9 epochs and eta 3, the largest first."""


def rows(run: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(run, table).to_pylist()
    return found


def job(folder: Path, algorithm: str, scheduler: str) -> str:
    path = folder / "job.yaml"
    path.write_text(JOB.replace("ALGORITHM", algorithm).replace("SCHEDULER", scheduler))
    return str(path)


def verdicts(run: Path) -> dict[int, dict[int, dict[str, dict[str, float]]]]:
    """Bracket → epoch → kind → trial → value."""
    found: Any = defaultdict(lambda: defaultdict(lambda: {"stopped": {}, "promoted": {}}))
    for row in rows(run, "events"):
        if row["kind"] in ("stopped", "promoted"):
            of_kind = found[row["bracket"]][row["epoch"]][row["kind"]]
            assert row["trial_id"] not in of_kind
            of_kind[row["trial_id"]] = row["value"]
    return {bracket: dict(epochs) for bracket, epochs in found.items()}


def check(run: Path, sizes: tuple[int, ...]) -> None:
    """Every bracket is halved by the values that are in the store, and every epoch of a trial is there once."""
    trials = {row["trial_id"]: row for row in rows(run, "trials")}
    assert {row["state"] for row in trials.values()} == {"STOPPED", "COMPLETED", "DIVERGED"}
    losses: dict[tuple[str, int], float] = {}
    for row in rows(run, "epochs"):
        assert (row["trial_id"], row["epoch"]) not in losses
        losses[row["trial_id"], row["epoch"]] = row["validation_loss"]
    assert len(losses) == sum(row["epochs"] for row in trials.values())
    for bracket, epochs in verdicts(run).items():
        kept = sizes[bracket]
        for epoch, of_epoch in sorted(epochs.items()):
            kept = math.ceil(kept / 3)
            stopped, promoted = of_epoch["stopped"], of_epoch["promoted"]
            assert len(promoted) == min(kept, len(stopped) + len(promoted))
            assert max(promoted.values()) <= min(stopped.values(), default=math.inf)
            for trial_id, value in (stopped | promoted).items():
                assert losses[trial_id, epoch] == value
                assert trials[trial_id]["bracket"] == bracket
            for trial_id in stopped:
                assert (trials[trial_id]["state"], trials[trial_id]["epochs"]) == ("STOPPED", epoch)
            for trial_id in promoted:
                assert trials[trial_id]["epochs"] > epoch


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_a_hyperband_sweep_whose_brackets_span_more_stacks_than_slots(
    raydnn: Callable[..., Any], tmp_path: Path, killed: bool
) -> None:
    """Six stacks on one slot: they give way at rungs, before and after the driver is killed."""
    run = tmp_path / "run"
    path = job(tmp_path, "random", "hyperband")
    whole_machine = f"resources.cpus_per_worker={os.cpu_count()}"
    options = [f"storage={tmp_path}", "--run-id", "run", whole_machine]
    command = raydnn(run, "sweep", path, *options)
    if killed:
        command.wait_for_commits(4)
        command.process.send_signal(signal.SIGKILL)
        assert command.end()[0] == -signal.SIGKILL
        command = raydnn(run, "sweep", "--resume", str(run))
    code, output = command.end()
    assert code == 0, output
    kinds = [row["kind"] for row in rows(run, "events")]
    assert kinds.count("paused") >= 2
    assert kinds.count("resumed") >= 2
    check(run, SIZES[::-1])


@pytest.mark.slow
def test_a_bohb_sweep_proposes_a_bracket_at_a_time(raydnn: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = job(tmp_path, "tpe", "bohb")
    code, output = raydnn(run, "sweep", path, f"storage={tmp_path}", "--run-id", "run").end()
    assert code == 0, output
    check(run, SIZES)
    first = {row["number"]: row["bracket"] for row in rows(run, "trials") if row["number"] < 9}
    assert set(first.values()) <= {
        0,
        None,
    }  # one that diverges before its first rung never hears of its bracket
    assert {row["bracket"] for row in rows(run, "trials") if row["number"] >= 9} == {1, 2}


@pytest.mark.slow
def test_a_median_sweep_stops_trials_at_any_epoch(raydnn: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = job(tmp_path, "random", "median")
    code, output = raydnn(run, "sweep", path, f"storage={tmp_path}", "--run-id", "run").end()
    assert code == 0, output
    trials = rows(run, "trials")
    assert {row["stop_reason"] for row in trials if row["state"] == "STOPPED"} == {"median"}
    assert all(row["bracket"] is None and row["rung"] is None for row in trials)
    stopped = {row["trial_id"]: row["epoch"] for row in rows(run, "events") if row["kind"] == "stopped"}
    assert stopped == {row["trial_id"]: row["epochs"] for row in trials if row["state"] == "STOPPED"}
