"""Activations that are computed again: the same numbers, the same draws, averages that move once, less memory."""

from __future__ import annotations

import re
from itertools import accumulate
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from raydnn.data.dataset import Dataset
from raydnn.data.load import load_dataset
from raydnn.nn.gradients.by_autograd import ByAutograd
from raydnn.nn.layers.costs import Costs, segments, where_recomputed
from raydnn.search.packing import pack
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.training.loop import train
from raydnn.training.stack.footprint import footprint
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.steps.passes import Passes
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
DROPPED = {"regularization": {"dropout": 0.3, "input_dropout": 0.1}}
CASES: dict[str, dict[str, Any]] = {
    "mlp": {"model": {"name": "mlp", "widths": [8, 7, 6, 5]}, **DROPPED, "normalization": "batch_norm"},
    "residual_mlp": {"model": {"name": "residual_mlp", "blocks": 2, "width": 8}, **DROPPED},
    "cnn": {
        "model": {"name": "cnn", "channels": [4, 4], "convolutions": 1, "widths": [8]},
        **DROPPED,
        "normalization": {"name": "batch_norm", "inputs": True},
    },
    "resnet": {"model": {"name": "resnet", "depth": 8, "width": 2}, "normalization": "batch_norm"},
    "rnn": {"model": {"name": "rnn", "units": 5, "layers": 2}, **DROPPED},
    "lstm": {"model": {"name": "lstm", "units": 5, "layers": 2}, **DROPPED, "activation": "tanh"},
    "gru": {"model": {"name": "gru", "units": 5, "layers": 2}, **DROPPED, "activation": "tanh"},
    "transformer": {"model": {"name": "transformer", "width": 8, "layers": 2, "feedforward": 8}, **DROPPED},
    "autoencoder": {
        "model": {"name": "autoencoder", "widths": [5, 4, 3], "noise": 0.2, "sparsity": 0.1, "tied": True}
    },
}
PICTURES = ("cnn", "resnet")
TABLES = ("mlp", "residual_mlp", "autoencoder")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Two classes of tables, pictures and sequences."""
    rng, found = np.random.default_rng(0), {}
    for name, shape in (("table", (6,)), ("pictures", (1, 8, 8)), ("sequences", (5, 2))):
        targets = rng.integers(2, size=90)
        inputs = (rng.normal(size=(90, *shape)) + targets.reshape(-1, *[1] * len(shape))).astype(np.float32)
        path = tmp_path_factory.mktemp("recomputing") / f"{name}.npz"
        np.savez(path, inputs=inputs, targets=targets, test_inputs=inputs[:9], test_targets=targets[:9])
        found[name] = {"name": "npz", "path": str(path), "validation": 26}
    return found


def _trial(data: dict[str, dict[str, Any]], name: str, train: dict[str, Any], seed: int = 0) -> TrialSpec:
    kind = "pictures" if name in PICTURES else "table" if name in TABLES else "sequences"
    given = {"optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9}, "activation": "relu", **CASES[name]}
    given |= {"data": data[kind], "seed": seed, "train": {"epochs": 2, "batch_size": 16, **train}}
    return TrialSpec.from_training(Training.model_validate(given))


def _stack(trials: list[TrialSpec], dataset: Dataset) -> Stack:
    return Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), CPU)


def test_every_model_is_among_the_cases() -> None:
    assert set(CASES) == set(components("model")) - {"perceptron", "module"}


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_of_what_is_kept(data: dict[str, dict[str, Any]], name: str) -> None:
    found = []
    for recompute in (False, True):
        trials = [_trial(data, name, {"recompute": recompute, "accumulate": 2}, seed) for seed in (1, 2)]
        dataset = load_dataset(trials[0].data).to(CPU)
        stack = _stack(trials, dataset)
        assert isinstance(stack.backprop, ByAutograd) or not recompute
        epochs = train(stack, dataset, 1)
        losses = [[row["train_loss"] for row in next(epochs)[1]] for _ in range(2)]
        found.append((torch.tensor(losses), stack.parameters, stack.statistics))
    # Perceptrons have their gradients by hand where nothing is computed again.
    close = {"rtol": 1e-5, "atol": 1e-6} if name in ("mlp", "residual_mlp") else {"rtol": 0.0, "atol": 0.0}
    for again, kept in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(again, kept, **close)
    assert name in TABLES[1:] or found[0][1].std() > 0


def _peak(trial: TrialSpec, dataset: Dataset) -> int:
    """Most bytes that a step has beyond what was there before it."""
    stack = _stack([trial], dataset)
    passes = Passes(stack, dataset.train)
    passes.begin(1)
    rows = dataset.train.order(0, 1)[: passes.step_size]
    scale = torch.ones(1, 1, 1) / len(rows)
    with torch.no_grad():
        passes(rows, scale, None)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            passes(rows, scale, None)
    results = profiled.profiler.kineto_results  # type: ignore[union-attr]
    events = sorted((e for e in results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns())
    return max(accumulate(event.nbytes() for event in events))


@pytest.mark.parametrize(
    ("name", "model", "most"),
    [
        ("mlp", {"name": "mlp", "widths": [64] * 16}, 0.5),
        ("cnn", {"name": "cnn", "channels": [8, 8], "convolutions": 4}, 0.7),
    ],
)
def test_a_step_takes_less_memory(
    data: dict[str, dict[str, Any]], name: str, model: dict[str, Any], most: float
) -> None:
    measured, estimated = [], []
    for recompute in (False, True):
        given = _trial(data, name, {"batch_size": "full", "recompute": recompute})
        # So many examples that it is the step, not an evaluation, that takes most.
        trial = TrialSpec.model_validate({**given.model_dump(), "model": model, "data": {"name": "digits"}})
        dataset = load_dataset(trial.data).to(CPU)
        measured.append(_peak(trial, dataset))
        estimated.append(footprint([trial], dataset))
    assert measured[1] < most * measured[0]
    assert estimated[1] / estimated[0] == pytest.approx(measured[1] / measured[0], abs=0.2)


def test_segments_are_about_as_many_as_their_layers() -> None:
    for layers in range(1, 60):
        found = segments(layers)
        assert [n for part in found for n in range(layers)[part]] == list(range(layers))
        assert max(part.stop - part.start for part in found) == ceil(sqrt(layers))


def test_a_segment_keeps_what_comes_into_the_next() -> None:
    layers = [Costs(kept, 1, 1, 1) for kept in (10, 20, 30, 40, 50)]
    assert where_recomputed(layers, [1, 2, 3, 4, 5]).kept == 3 + (40 + 50)


def test_it_has_stacks_of_its_own(data: dict[str, dict[str, Any]]) -> None:
    trials = [_trial(data, "mlp", {"recompute": recompute}) for recompute in (True, False, True)]
    assert [len(plan.trials) for plan in pack(trials, 8)] == [2, 1]


def test_the_layers_of_a_users_class_are_its_own(data: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    from raydnn.spec.checks.compatibility import recomputation_has_layers

    model = {"name": "module", "path": f"{tmp_path}/net:Net"}
    given = {"data": data["table"], "optimizer": "sgd", "model": model, "train": {"recompute": True}}
    ((field, message),) = recomputation_has_layers(Training.model_validate(given))
    assert field == "train.recompute"
    assert re.match("true with the model module, .*; allowed: false", message)
