"""A member of a stack is trained as if it were alone: every component, mixed as a sweep mixes them."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import pytest
import torch

from raydnn.data.load import load_dataset
from raydnn.optim.optimizers import stacked
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.compatibility import compatible
from raydnn.train.epoch import train_epoch
from raydnn.train.loop import flat
from raydnn.train.stack.member import Member
from raydnn.train.stack.stack import Stack
from raydnn.train.steps import passes
from raydnn.train.steps.capture import capture
from raydnn.train.steps.tape import record
from raydnn.train.workers import Workers

ADAM = {"name": "adam", "lr": 0.01}
PRELU = "prelu"
"""Its slopes are parameters of the network, so that it has stacks of its own: in test_tasks."""
HIDDEN = [name for name in compatible("activation", "classification") if name != PRELU]

VARIATIONS: dict[str, list[dict[str, Any]]] = {
    "optimizer": [
        {"optimizer": optimizer}
        for optimizer in (
            {"name": "sgd", "lr": 0.2},
            {"name": "sgd", "lr": 0.05, "momentum": 0.9},
            {"name": "sgd", "lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-2},
            {"name": "sgd", "lr": 0.1, "momentum": 0.5, "dampening": 0.3},
            {"name": "adam", "lr": 0.01},
            {"name": "adam", "lr": 0.02, "beta1": 0.5, "beta2": 0.99, "weight_decay": 1e-2},
            {"name": "adamw", "lr": 0.01},
            {"name": "adamw", "lr": 0.02, "beta1": 0.8, "eps": 1e-4, "weight_decay": 0.5},
            {"name": "rmsprop", "lr": 0.003},
            {"name": "rmsprop", "lr": 0.003, "momentum": 0.5, "centered": True, "eps": 1e-3},
            {"name": "adagrad", "lr": 0.05},
            {
                "name": "adagrad",
                "lr": 0.1,
                "initial_accumulator": 0.1,
                "weight_decay": 1e-2,
                "decay_bias": False,
            },
            {"name": "adadelta", "lr": 2.0},
            {"name": "adadelta", "rho": 0.8, "eps": 1e-4, "weight_decay": 1e-2},
            {"name": "adamax", "lr": 0.02},
            {"name": "adamax", "lr": 0.01, "beta2": 0.9, "weight_decay": 0.1, "decay_bias": False},
            {"name": "nadam", "lr": 0.01},
            {"name": "nadam", "lr": 0.02, "momentum_decay": 1.0, "weight_decay": 1e-2},
            {"name": "radam", "lr": 0.01},
            {"name": "radam", "lr": 0.02, "beta2": 0.9, "weight_decay": 1e-2},
            {"name": "lion", "lr": 0.002},
            {"name": "lion", "lr": 0.001, "beta1": 0.5, "weight_decay": 0.5, "decay_bias": False},
            {"name": "muon", "lr": 0.01, "adam_ratio": 0.5},
            {"name": "muon", "lr": 0.02, "nesterov": False, "weight_decay": 0.1, "match_rms": True},
        )
    ],
    "schedule": [
        {"schedule": schedule}
        for schedule in (
            "constant",
            {"name": "constant", "warmup_epochs": 1.5},
            {"name": "exponential", "gamma": 0.5},
            {"name": "exponential", "gamma": 0.3, "staircase": True, "warmup_epochs": 0.5},
            {"name": "cosine", "warmup_epochs": 1.0},
            {"name": "cosine", "alpha": 0.1, "decay_epochs": 2.0},
            {"name": "annealing", "beta": 0.3},
            {"name": "annealing", "beta": 0.05, "per": "step", "warmup_epochs": 0.5},
            {"name": "piecewise", "boundaries_epochs": [1.0, 2.0], "factors": [0.5, 0.1]},
            {"name": "power", "gamma": 2.0, "exponent": 0.5},
            {"name": "polynomial", "exponent": 2.0, "alpha": 0.1},
            {"name": "polynomial", "decay_epochs": 0.7, "cycle": True},
            {"name": "cosine_restarts", "cycle_epochs": 0.5},
            "one_cycle",
            {"name": "one_cycle", "anneal": "cosine", "cycle_momentum": False},
            "wsd",
            {"name": "wsd", "decay_share": 0.5, "anneal": "sqrt", "warmup_epochs": 1.0},
            {"name": "performance", "patience": 0, "min_delta": 0.5},
            {
                "name": "performance",
                "monitor": "train_accuracy",
                "factor": 0.1,
                "patience": 0,
                "min_delta": 1.0,
            },
        )
    ],
    "init": [{"init": name} for name in (*components("init"), {"name": "normal", "std": 0.5})],
    "activation": [
        {"activation": activation}
        for activation in (
            *HIDDEN,
            {"name": "leaky_relu", "alpha": 0.3},
            {"name": "elu", "alpha": 0.5},
            {"name": "rrelu", "lower": 0.0, "upper": 0.9},
            {"name": "rrelu", "lower": 0.5, "upper": 0.5},
        )
    ],
    "clip": [
        {"train": {"clip": clip}}
        for clip in (
            "none",
            {"name": "norm", "max_grad_norm": 0.1},
            {"name": "norm", "max_grad_norm": 0.5},
            {"name": "norm", "max_grad_norm": 100.0},
            {"name": "value", "max_grad": 0.01},
            {"name": "value", "max_grad": 0.1},
            {"name": "per_layer", "max_grad_norm": 0.05},
            {"name": "per_layer", "max_grad_norm": 0.3},
        )
    ],
    "dropout": [
        {"regularization": {"dropout": rate}, "seed": seed}
        for rate, seed in ((0, 0), (0.2, 0), (0.5, 1), (0.5, 0))
    ],
    "other_dropout": [
        {"regularization": regularization, "seed": seed}
        for regularization, seed in (
            ({"input_dropout": 0.2}, 0),
            ({"dropout": 0.5, "dropout_last_layer_only": True}, 0),
            ({"alpha_dropout": 0.1, "dropout_last_layer_only": True}, 1),
            ({"alpha_dropout": 0.3}, 0),
            ({"dropout": 0.3}, 0),
        )
    ],
    "batch_norm": [
        {"normalization": {"name": "batch_norm", **more}, "optimizer": optimizer, "seed": seed}
        for more, optimizer, seed in (
            ({}, ADAM, 0),
            ({"momentum": 0.5, "eps": 1e-3}, ADAM, 0),
            ({"momentum": 1.0}, {"name": "sgd", "lr": 0.1, "weight_decay": 0.1, "decay_bias": False}, 1),
            ({"exact_statistics": True}, {"name": "sgd", "lr": 0.1}, 1),
        )
    ],
    "normalized_inputs": [
        {
            "normalization": {
                "name": "batch_norm",
                "position": "after_activation",
                "inputs": True,
                "momentum": m,
            },
            "regularization": {"dropout": rate, "input_dropout": rate},
        }
        for m, rate in ((0.1, 0.0), (0.2, 0.1), (0.5, 0.0), (1.0, 0.3))
    ],
    "layer_norm": [
        {"normalization": {"name": "layer_norm", "eps": eps}, "seed": seed}
        for eps, seed in ((1e-5, 0), (1e-5, 1), (1e-3, 0), (0.1, 0))
    ],
    "group_norm": [
        {
            "model": {"layers": 2, "width": 9},
            "normalization": {"name": "group_norm", "groups": 3, "eps": eps, "position": "after_activation"},
            "optimizer": optimizer,
        }
        for eps, optimizer in ((1e-5, ADAM), (1e-3, ADAM), (0.1, "sgd"), (1.0, "adamw"))
    ],
    "residual": [
        {
            "model": {"name": "residual_mlp", "blocks": 2, "width": 7, "zero_init_last_norm": zero},
            "normalization": "batch_norm",
            "activation": activation,
        }
        for zero, activation in ((False, "relu"), (True, "relu"), (True, "elu"), (False, "elu"))
    ],
    "perceptron": [
        {"model": "perceptron", "optimizer": optimizer, "regularization": {"input_dropout": rate}}
        for optimizer, rate in ((ADAM, 0.0), (ADAM, 0.2), ("sgd", 0.0), ("adamw", 0.1))
    ],
    "seed": [{"seed": seed} for seed in (0, 1, 2, 2**63 - 1)],
    "early_stopping": [
        {"train": {"early_stopping": stopping}}
        for stopping in (None, {"patience": 1}, {"patience": 2, "restore_best": False}, {"min_delta": 0.1})
    ],
    "mixed": [
        {"optimizer": ADAM, "activation": "relu", "regularization": {"dropout": 0.3}, "seed": 5},
        {"optimizer": {"name": "sgd", "lr": 0.1}, "activation": "elu", "schedule": "cosine"},
        {"optimizer": ADAM, "activation": "relu", "train": {"clip": {"name": "norm", "max_grad_norm": 0.2}}},
        {
            "optimizer": "adamw",
            "schedule": {"name": "exponential", "gamma": 0.5},
            "init": "he_uniform",
            "seed": 5,
        },
        {
            "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
            "regularization": {"dropout": 0.1},
            "seed": 9,
        },
        {"optimizer": ADAM, "activation": "selu", "schedule": {"name": "performance", "patience": 0}},
    ],
}
CASES = [(axis, loss) for axis in VARIATIONS for loss in ("cross_entropy", "mse")]


def _assert_same(found: Any, expected: Any) -> None:
    assert len(found.rows) == len(expected.rows)
    for row, alone in zip(found.rows, expected.rows, strict=True):
        missing = {name for name, value in alone.items() if value is None}
        assert {name for name, value in row.items() if value is None} == missing
        numbers = {name: value for name, value in alone.items() if name not in missing}
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=1e-5, abs=1e-7)
    torch.testing.assert_close(found.parameters, expected.parameters, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", ["optimizer", "schedule", "init", "activation", "clip"])
def test_the_table_covers_every_component(axis: str) -> None:
    def name(fields: dict[str, Any]) -> str:
        value = fields["train"]["clip"] if axis == "clip" else fields[axis]
        return str(value if isinstance(value, str) else value["name"])

    apart = {PRELU, "heaviside", "sign", "softmax"} if axis == "activation" else set()
    assert {name(fields) for fields in VARIATIONS[axis]} == set(components(axis)) - apart


@pytest.mark.parametrize("axis", ["normalization", "model"])
def test_some_stacks_have_each_choice_that_stacks_share(axis: str) -> None:
    given = [fields[axis] for variations in VARIATIONS.values() for fields in variations if axis in fields]
    names = {value if isinstance(value, str) else value.get("name", "mlp") for value in given}
    # Users' modules are in test_user_modules.
    assert names == set(components(axis)) - {"none", "module"}


def test_the_table_mixes_at_least_four_settings() -> None:
    assert all(len(variations) >= 4 for variations in VARIATIONS.values())


@pytest.mark.parametrize(("axis", "loss"), CASES)
def test_a_stack_equals_its_members_alone(
    make_trial: Callable[..., Any], fit: Callable[..., Any], axis: str, loss: str
) -> None:
    trials = [make_trial(**{"loss": loss, **fields}) for fields in VARIATIONS[axis]]
    alone = [fit([trial])[0] for trial in trials]
    together = fit(trials)
    for found, expected in zip(together, alone, strict=True):
        _assert_same(found, expected)
    # One in the middle and then the first leave; what they did so far stays, the others go on.
    leaving = len(trials) // 2
    shrinking = fit(trials, drop={1: {leaving}, 2: {0}})
    for member, (found, expected) in enumerate(zip(shrinking, alone, strict=True)):
        if member == leaving:
            assert found.rows == together[member].rows[:1]
        elif member == 0:
            assert found.rows == together[member].rows[:2]
        else:
            _assert_same(found, expected)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Steps are captured from a stack's second one on; what replays them, or None where they cannot be captured."""
    found: list[Any] = []

    def note(*arguments: Any) -> Any:
        found.append(capture(*arguments))
        return found[-1]

    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 1)
    monkeypatch.setattr(passes, "capture", note)
    return found


@pytest.mark.parametrize(("axis", "loss"), CASES)
def test_captured_steps_change_no_bit(
    make_trial: Callable[..., Any], fit: Callable[..., Any], captures: list[Any], axis: str, loss: str
) -> None:
    trials = [make_trial(**{"loss": loss, **fields}) for fields in VARIATIONS[axis]]
    drop = {1: {len(trials) // 2}, 2: {0}}
    captured = fit(trials, drop)
    assert len(captures) == 3, "the stack has other members in each of the three epochs"
    assert None not in captures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "STEPS_BEFORE_CAPTURE", 10_000)
        eager = fit(trials, drop)
    for found, expected in zip(captured, eager, strict=True):
        assert found.rows == expected.rows
        assert torch.equal(found.parameters, expected.parameters)


@pytest.mark.parametrize(("axis", "loss"), CASES)
def test_an_epoch_looks_at_no_value(
    make_trial: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, axis: str, loss: str
) -> None:
    """With a GPU's updates: there it would wait for the device."""
    monkeypatch.setattr(stacked, "family_of", lambda name, _device: OPTIMIZERS[name])
    trials = [make_trial(**{"loss": loss, **fields}) for fields in VARIATIONS[axis]]
    dataset = flat(load_dataset(trials[0].data), torch.device("cpu"))
    members = [Member(n, trial) for n, trial in enumerate(trials)]
    stack = Stack(members, dataset, Workers(), torch.device("cpu"))
    table = torch.full((2, 8, len(trials)), 0.01, dtype=torch.float64)
    own = passes.Passes(stack, dataset.train)
    train_epoch(own, 1, table)
    for name in ("tolist", "item", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, None)
    assert not isinstance(record(lambda: train_epoch(own, 2, table)), str)


@pytest.mark.parametrize(
    "train",
    [
        {"accumulate": 2},
        {"augmentation": {"mixup": 0.4}},
        {"accumulate": 3, "augmentation": {"mixup": 0.4, "noise": 0.0}},
        {"class_weights": "balanced"},
    ],
    ids=str,
)
def test_captured_batches_change_no_bit(
    make_trial: Callable[..., Any], fit: Callable[..., Any], captures: list[Any], train: dict[str, Any]
) -> None:
    trials = [
        make_trial(train=train, seed=seed, optimizer=optimizer)
        for seed in (0, 1)
        for optimizer in (ADAM, "sgd")
    ]
    captured = fit(trials)
    assert len(captures) == 1
    assert None not in captures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "STEPS_BEFORE_CAPTURE", 10_000)
        assert [found.rows for found in captured] == [found.rows for found in fit(trials)]


def test_regression_with_own_batches(
    make_trial: Callable[..., Any], fit: Callable[..., Any], values: dict[str, Any]
) -> None:
    trials = [make_trial(data=values, optimizer=ADAM, seed=seed, activation="elu") for seed in (0, 1, 1, 2)]
    for found, trial in zip(fit(trials), trials, strict=True):
        _assert_same(found, fit([trial])[0])
        assert found.rows[-1]["validation_loss"] < found.rows[0]["validation_loss"]
        assert "train_accuracy" not in found.rows[0]


@pytest.mark.parametrize("position", [0, 2, 4])
def test_a_nan_member_leaves_its_neighbours_bit_equal(
    make_trial: Callable[..., Any], fit: Callable[..., Any], position: int
) -> None:
    healthy = [
        {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "seed": 1},
        {"optimizer": {"name": "sgd", "lr": 0.1}, "regularization": {"dropout": 0.2}},
        {"optimizer": ADAM, "train": {"clip": {"name": "norm"}}},
        {"optimizer": "adamw"},
    ]
    trials = [make_trial(loss="mse", activation="relu", **fields) for fields in healthy]
    wild = make_trial(loss="mse", activation="linear", optimizer={"name": "sgd", "lr": 1e6})
    quiet = make_trial(loss="mse", activation="linear", optimizer={"name": "sgd", "lr": 1e-6})
    expected = fit([*trials[:position], quiet, *trials[position:]])
    found = fit([*trials[:position], wild, *trials[position:]])
    assert isnan(found[position].rows[-1]["train_loss"])
    for member in set(range(5)) - {position}:
        assert found[member].rows == expected[member].rows
        assert torch.equal(found[member].parameters, expected[member].parameters)
