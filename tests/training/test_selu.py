"""SELU keeps mean 0 and variance 1 through 20 layers under its conditions, and not without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from raydnn.data.load import load_dataset
from raydnn.search.packing import StackPlan
from raydnn.spec.checks.selu import selu_warnings
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.measures.diagnostics import activation_statistics
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
LAYERS = 20


def _trial(**fields: Any) -> TrialSpec:
    given = {
        "data": {"name": "digits", "scaling": "standardize", "validation_fraction": 0.2},
        "model": {"layers": LAYERS, "width": 128},
        "activation": "selu",
        "optimizer": {"name": "sgd", "lr": 0.001},
        **fields,
    }
    return TrialSpec.from_training(Training.model_validate(given))


def _statistics(trial: TrialSpec) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the activations of every layer, before training."""
    dataset = load_dataset(trial.data).to(CPU)
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    rows = [rows[0] for rows in activation_statistics(stack, dataset.train).values()]
    assert len(rows) == LAYERS
    return [row["activation_mean"] for row in rows], [row["activation_std"] for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_with_its_conditions_every_layer_has_mean_0_and_variance_1(seed: int) -> None:
    trial = _trial(seed=seed, regularization={"alpha_dropout": 0.1})
    assert selu_warnings(trial) == []
    means, deviations = _statistics(trial)
    assert max(map(abs, means)) < 0.06
    assert all(0.9 < deviation < 1.06 for deviation in deviations)


def test_they_still_hold_after_an_epoch(new_run: Callable[..., Run]) -> None:
    train = {"epochs": 1, "batch_size": 64, "diagnostics": True}
    trial = _trial(regularization={"alpha_dropout": 0.1}, train=train)
    run = new_run()
    plan = StackPlan(0, ((0, trial),))
    run_stack(run, plan, scheduler="none", judge=lambda _e, _m: {}, workers=Workers(), device=CPU)
    rows = [row for row in read(run.location, "layers").to_pylist() if row["depth"] < LAYERS]
    assert len(rows) == LAYERS
    assert max(abs(row["activation_mean"]) for row in rows) < 0.1
    assert all(0.85 < row["activation_std"] < 1.15 for row in rows)


BROKEN: dict[str, tuple[dict[str, Any], float, float]] = {
    "he_normal": ({"init": "he_normal"}, 5.0, 20.0),
    "normal": ({"init": "normal"}, 0.0, 1e-6),
    "torch_default": ({"init": "torch_default"}, 0.0, 0.1),
}
"""Initializers with another variance; the bounds between which the last layer's standard deviation then is."""


@pytest.mark.parametrize("name", BROKEN)
def test_another_initializer_warns_and_explodes_or_vanishes(name: str) -> None:
    fields, low, high = BROKEN[name]
    trial = _trial(**fields)
    assert selu_warnings(trial) == [f"init: {name}, but SELU needs lecun_normal"]
    _, deviations = _statistics(trial)
    assert low < deviations[-1] < high


@pytest.mark.parametrize(("scaling", "low", "high"), [("none", 4.0, 8.0), ("unit", 0.4, 0.7)])
def test_inputs_of_another_variance_warn_and_come_back_to_1_only_layer_by_layer(
    scaling: str, low: float, high: float
) -> None:
    trial = _trial(data={"name": "digits", "scaling": scaling, "validation_fraction": 0.2})
    assert selu_warnings(trial) == [f"data.scaling: {scaling}, but SELU needs standardize"]
    _, deviations = _statistics(trial)
    assert low < deviations[0] < high
    distances = [abs(deviation - 1) for deviation in deviations]
    assert distances[0] > distances[4] > distances[-1]
