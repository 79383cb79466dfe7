"""Passes that are compiled: the same numbers, by kernels for the first batch's shape; refused without a compiler."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from raydnn.data.load import load_dataset
from raydnn.errors import JobError
from raydnn.nn.gradients import compiling
from raydnn.nn.gradients.compiling import compiled, lacking_compiler
from raydnn.search.packing import pack
from raydnn.spec.checks.compatibility import compiles_what_is_kept
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.training.loop import train
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
CASES: dict[str, dict[str, Any]] = {
    "mlp": {"model": {"name": "mlp", "widths": [8]}, "regularization": {"dropout": 0.3}},
    "cnn": {
        "model": {"name": "cnn", "channels": [3], "convolutions": 1},
        "regularization": {"dropout": 0.3},
        "normalization": "batch_norm",
    },
    "autoencoder": {"model": {"name": "autoencoder", "widths": [4], "noise": 0.2, "sparsity": 0.1}},
}


def _trial(folder: Path, case: str, **train: Any) -> TrialSpec:
    rng = np.random.default_rng(0)
    shape = (1, 4, 4) if case == "cnn" else (6,)
    inputs, targets = rng.normal(size=(70, *shape)).astype(np.float32), rng.integers(2, size=70)
    arrays = {"inputs": inputs, "targets": targets, "test_inputs": inputs[:9], "test_targets": targets[:9]}
    np.savez(folder / "few.npz", **arrays)
    given = {
        "data": {"name": "npz", "path": str(folder / "few.npz"), "validation": 20},
        "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
        "train": {"epochs": 2, "batch_size": 16, **train},
        **CASES[case],
    }
    return TrialSpec.from_training(Training.model_validate(given))


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        # What is traced is run as it is, without a compiler's minute.
        ("mlp", "eager"),
        pytest.param("cnn", "eager", marks=pytest.mark.slow),
        pytest.param("autoencoder", "eager", marks=pytest.mark.slow),
        pytest.param("mlp", "inductor", marks=pytest.mark.slow),
        pytest.param("cnn", "inductor", marks=pytest.mark.slow),
    ],
)
def test_the_numbers_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, backend: str
) -> None:
    monkeypatch.setattr(compiling, "BACKEND", backend)
    if backend == "inductor" and (lacking := lacking_compiler(CPU)):
        pytest.skip(lacking)
    found = []
    for given in (False, True):
        trial = _trial(tmp_path, case, compile=given)
        dataset = load_dataset(trial.data).to(CPU)
        stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
        assert bool(stack.backprop.why_eager) == given
        epochs = train(stack, dataset, 1)
        rows = [next(epochs)[1][0] for _ in range(2)]
        losses = [[row["train_loss"], row["validation_loss"], row["grad_norm"]] for row in rows]
        found.append((torch.tensor(losses), stack.parameters, stack.statistics))
    for fast, plain in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)


def test_batches_of_one_shape_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Sum(nn.Module):
        def forward(self, inputs: torch.Tensor, _context: Context) -> torch.Tensor:
            return inputs.sum(dim=-1, keepdim=True)

    def fake(module: nn.Module, **options: Any) -> Any:
        assert options == {"backend": "inductor", "dynamic": False}

        def fast(inputs: torch.Tensor, context: Context) -> Any:
            seen.append(inputs.shape[1])
            return module(inputs, context)

        return fast

    monkeypatch.setattr(torch, "compile", fake)
    network = compiled(Sum())
    for size in (16, 16, 3, 16):
        assert network(torch.ones(1, size, 2), Context()).tolist() == [[[2.0]] * size]
    assert seen == [16, 16, 16]


def test_it_is_refused_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    trial = _trial(tmp_path, "mlp", compile=True)
    dataset = load_dataset(trial.data).to(CPU)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiling.sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lacking_compiler(CPU) == ""
    Stack([Member(0, trial)], dataset, Workers(), CPU)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(JobError) as raised:
        Stack([Member(0, trial)], dataset, Workers(), CPU)
    (line,) = str(raised.value).splitlines()
    assert line.startswith("train.compile: true on a CPU (")
    assert line.endswith("needs the C++ compiler g++ ($CXX), which is not there; allowed: false")
    monkeypatch.setenv("CXX", str(compiler))
    assert lacking_compiler(CPU) == ""


@pytest.mark.parametrize("there", [False, True])
def test_a_gpu_needs_triton(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(compiling, "find_spec", lambda name: name if there and name == "triton" else None)
    assert ("triton" in lacking_compiler(torch.device("cuda"))) == (not there)


def test_each_has_a_stack_of_its_own(tmp_path: Path) -> None:
    trials = [_trial(tmp_path, "mlp", compile=given) for given in (True, False, True, False)]
    assert sorted(len(plan.trials) for plan in pack(trials, 8)) == [1, 1, 2]
    assert [len(plan.trials) for plan in pack(trials[::2], 8, together=2)] == [2], "seeds stay together"


def test_what_is_kept_is_the_compilers_to_say(tmp_path: Path) -> None:
    ((field, message),) = compiles_what_is_kept(_trial(tmp_path, "mlp", compile=True, recompute=True))
    assert (field, "allowed: one of the two" in message) == ("train.recompute", True)
