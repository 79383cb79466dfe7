"""The jobs on networks for pictures and sequences, trained small: few examples, an epoch or two."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.launch.engine.in_process import InProcess
from raydnn.launch.runs.runs import begin, driving
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.tuning.sweep import sweep_run
from raydnn.search.algorithms.registry import generations
from raydnn.search.packing import StackPlan
from raydnn.space.space import build_space
from raydnn.spec.reading.load import load_job, require_sweep
from raydnn.spec.trial import trial_of_job
from raydnn.store.read import read
from raydnn.store.run import Run

JOBS = Path(__file__).parents[1] / "jobs"
FEW = ["data.count=120", "train.epochs=2", "train.batch_size=32"]
TRAININGS = {
    "cifar-cnn": ["data.size=16", "model.channels=[4, 8]", "model.widths=[8]"],
    "cifar-resnet": ["data.size=16", "model.depth=8", "model.width=4"],
    "sequence-lstm": ["data.length=10", "model.units=8"],
    "sequence-transformer": ["data.length=10", "model.width=8", "schedule.warmup_epochs=1"],
}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def _ended(run: Run) -> list[dict[str, Any]]:
    rows = read(run.location, "trials").to_pylist()
    assert {row["state"] for row in rows} == {"COMPLETED"}
    epochs = read(run.location, "epochs").to_pylist()
    assert all(isfinite(row["train_loss"]) and isfinite(row["validation_loss"]) for row in epochs)
    return rows


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_ends_with_finite_losses(name: str, tmp_path: Path) -> None:
    job = load_job(JOBS / f"{name}.yaml", [*FEW, *TRAININGS[name], f"storage={tmp_path}"]).job
    trial = trial_of_job(job)
    plans = [StackPlan(0, ((0, trial),))]
    run = begin(job, "", "one", "train", plans)
    with driving(run, plans):
        InProcess(1).train(run, trial, job.resources)
    assert [row["epochs"] for row in _ended(run)] == [2]


def test_the_degradation_sweep_has_both_depths_with_and_without_skips(tmp_path: Path) -> None:
    given = [*FEW, "data.validation=20", "data.size=8", "model.width=2", f"storage={tmp_path}"]
    loaded = load_job(JOBS / "degradation.yaml", [*given, 'search.space={"model.depth": [8], "seed": [0]}'])
    job = require_sweep(load_job(JOBS / "degradation.yaml", given))
    written = job.search.space
    assert (written["model.skip"], written["model.depth"]) == ([False, True], [20, 56])
    job = require_sweep(loaded)
    space = build_space(job, loaded.positions)
    stacks = Stacks(generations(space, job), job.search.stack)
    run = begin(job, "", "two", "sweep", stacks.plans, space.tree(), stacks.expected)
    with driving(run, stacks.plans):
        sweep_run(run, [job], stacks, None, InProcess(1))
    assert {row["p_model_skip"] for row in _ended(run)} == {False, True}
