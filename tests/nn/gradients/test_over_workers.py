"""Workers exchange gradients once a step, however many batches and pieces it has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

WORKER = """
import json, sys
import torch
from torch.profiler import ProfilerActivity, profile
from raydnn.data.load import load_dataset
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.training.loop import train
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.steps.passes import Passes
from raydnn.training.workers import Workers

rank, rendezvous, given = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
cpu, found = torch.device("cpu"), []
for job, pieces in given:
    trial = TrialSpec.from_training(Training.model_validate(job))
    dataset = load_dataset(trial.data).to(cpu)

    def stack():
        return Stack([Member(0, trial)], dataset, Workers(rank, 2), cpu, pieces)

    epochs = train(stack(), dataset, 1)
    curve = [next(epochs)[1][0] for _ in range(2)]
    passes = Passes(stack(), dataset.train)
    passes.begin(1)
    scale = torch.ones(1, 1, 1) / passes.step_size
    steps = torch.split(dataset.train.order(0, 1), passes.step_size)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for rows in steps:
            passes(rows, scale, None)
    reduced = sum(event.name == "gloo:all_reduce" for event in profiled.events())
    found.append([[[row["train_loss"], row["grad_norm"]] for row in curve], len(steps), reduced])
torch.distributed.destroy_process_group()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Of steps of 24 examples in one batch, in three, and each of these in two pieces: curve, steps, all-reduces."""
    folder = tmp_path_factory.mktemp("over_workers")
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=150)
    inputs = (rng.normal(size=(3, 6))[targets] + rng.normal(size=(150, 6))).astype(np.float32)
    arrays = {"inputs": inputs, "targets": targets, "test_inputs": inputs[:9], "test_targets": targets[:9]}
    np.savez(folder / "classes.npz", **arrays)
    job = {
        "data": {"name": "npz", "path": str(folder / "classes.npz"), "validation": 30},
        "model": {"name": "mlp", "widths": [8, 7]},
        "activation": "tanh",
        "optimizer": {"name": "adam", "lr": 0.01},
    }
    cases = [({"batch_size": 24}, 1), *(({"batch_size": 8, "accumulate": 3}, pieces) for pieces in (1, 2))]
    given = json.dumps([({**job, "train": {"epochs": 2, **train}}, pieces) for train, pieces in cases])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(folder / "rendezvous"), given],
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        told = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], told
    answers = [json.loads(out.splitlines()[-1]) for out, _ in told]
    assert answers[0] == answers[1]
    cases_found: list[Any] = answers[0]
    return cases_found


def test_there_is_one_all_reduce_a_step(found: list[Any]) -> None:
    assert [(steps, reduced) for _, steps, reduced in found] == [(5, 5)] * 3


def test_the_curve_is_that_of_whole_batches(found: list[Any]) -> None:
    whole, *others = (np.array(curve) for curve, _, _ in found)
    assert whole.shape == (2, 2)
    for curve in others:
        np.testing.assert_allclose(curve, whole, rtol=2e-5)
