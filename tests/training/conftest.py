"""What the training tests share: small data sets, trials on them, stacks trained without a store, and runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raydnn.data.load import load_dataset
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.run import Run, create_run
from raydnn.training.loop import train
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
CLOCK = {"seconds", "examples_per_second", "attempt", "committed_at"}
"""Columns that tell of time and restarts, not of the training."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Numbers are only comparable bit by bit with the same number of threads.

    Denormals, which a training process turns off, are back on afterwards: hypothesis refuses to draw without them.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Data of three overlapping classes: 120 training, 30 validation, 31 test examples of 6 features."""
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=181)
    inputs = (rng.normal(size=(3, 6))[targets] + rng.normal(size=(181, 6))).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "classes.npz"
    np.savez(
        path, inputs=inputs[:150], targets=targets[:150], test_inputs=inputs[150:], test_targets=targets[150:]
    )
    return {"name": "npz", "path": str(path), "validation": 30}


@pytest.fixture(scope="session")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Data of a regression with two outputs, split like `classes`."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(181, 6)).astype(np.float32)
    targets = np.stack([np.sin(inputs[:, 0]) + inputs[:, 1], inputs[:, 2] * inputs[:, 3]], axis=1)
    targets = targets.astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "values.npz"
    np.savez(
        path, inputs=inputs[:150], targets=targets[:150], test_inputs=inputs[150:], test_targets=targets[150:]
    )
    return {"name": "npz", "path": str(path), "validation": 30, "kind": "regression"}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Data of three classes of pictures (2, 8, 8), split like `classes`."""
    rng = np.random.default_rng(2)
    targets = rng.integers(3, size=181)
    inputs = (rng.normal(size=(3, 2, 8, 8))[targets] + rng.normal(size=(181, 2, 8, 8))).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    np.savez(
        path, inputs=inputs[:150], targets=targets[:150], test_inputs=inputs[150:], test_targets=targets[150:]
    )
    return {"name": "npz", "path": str(path), "validation": 30}


@pytest.fixture(scope="session")
def color_pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Data of three classes of pictures (3, 8, 8) of bytes, split like `classes`."""
    rng = np.random.default_rng(3)
    targets = rng.integers(3, size=181)
    inputs = rng.uniform(40, 200, (3, 3, 8, 8))[targets] + rng.normal(0, 20, (181, 3, 8, 8))
    inputs = inputs.clip(0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "color_pictures.npz"
    np.savez(
        path, inputs=inputs[:150], targets=targets[:150], test_inputs=inputs[150:], test_targets=targets[150:]
    )
    scaling = {"name": "standardize", "per": "channel"}
    return {"name": "npz", "path": str(path), "validation": 30, "scaling": scaling}


OF_PICTURES = frozenset({"cnn", "resnet"})
"""Models whose trials learn from `pictures`."""


@pytest.fixture(scope="session")
def make_trial(
    classes: dict[str, Any], pictures: dict[str, Any], color_pictures: dict[str, Any]
) -> Callable[..., TrialSpec]:
    """A trial on `classes`, `pictures` or `color_pictures`, three epochs of batches whose last is smaller; fields by
    keyword."""

    def make(*, train: Mapping[str, Any] | None = None, **fields: Any) -> TrialSpec:
        model = fields.get("model", "mlp")
        name = model.get("name") if isinstance(model, Mapping) else model
        if fields.get("data") == "color_pictures":
            fields["data"] = color_pictures
        given = {
            "data": pictures if name in OF_PICTURES else classes,
            "model": {"name": "mlp", "widths": [8, 7]},
            "activation": "tanh",
            "optimizer": {"name": "sgd", "lr": 0.05},
            "train": {"epochs": 3, "batch_size": 16, **(train or {})},
            **fields,
        }
        return TrialSpec.from_training(Training.model_validate(given))

    return make


@dataclass
class Fitted:
    """What became of one member."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    parameters: torch.Tensor = field(default_factory=lambda: torch.empty(0))


@pytest.fixture
def fit() -> Callable[..., list[Fitted]]:
    """Train trials in one stack; `drop` says which positions leave it after which epoch."""

    def run(trials: Sequence[TrialSpec], drop: Mapping[int, Collection[int]] | None = None) -> list[Fitted]:
        dataset = load_dataset(trials[0].data).to(CPU)
        stack = Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), CPU)
        found = [Fitted() for _ in trials]
        for epoch, rows in train(stack, dataset, 1):
            for position, (member, row) in enumerate(zip(stack.members, rows, strict=True)):
                found[member.number].rows.append(
                    {k: v for k, v in row.items() if k not in {*CLOCK, "trial_id"}}
                )
                found[member.number].parameters = stack.parameters[position].clone()
            leaving = (drop or {}).get(epoch, ())
            last = epoch == trials[0].train.epochs
            stack.keep([p for p, m in enumerate(stack.members) if m.number not in leaving and not last])
        return found

    return run


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    """A run in an empty storage of its own."""

    def make(name: str = "one", metric: str = "validation_loss", mode: str = "min") -> Run:
        resolved = {"metric": metric, "mode": mode, "command": "sweep", "job": {"name": "test"}}
        return create_run(str(tmp_path / "results"), name, "name: test\n", resolved)

    return make
