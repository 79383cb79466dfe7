"""A member of a stack is trained as if it were alone: every component, mixed as a sweep mixes them."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import pytest
import torch
from variations import ADAM, CASES, PRELU, VARIATIONS

from raydnn.data.load import load_dataset
from raydnn.optim.optimizers import stacked
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.spec.catalogue.kinds import components
from raydnn.training.epoch import train_epoch
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.steps import passes
from raydnn.training.steps.capture import capture
from raydnn.training.steps.tape import record
from raydnn.training.workers import Workers


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
    # Users' modules are in test_user_modules, models for sequences in test_sequences.
    assert names == set(components(axis)) - {"none", "module", "rnn", "lstm", "gru", "transformer"}


def test_some_stacks_have_each_augmentation() -> None:
    stacks = [*VARIATIONS["augmentation"], *VARIATIONS["augmentation_of_colors"]]
    given = {name for fields in stacks for name in fields["train"]["augmentation"]}
    assert given == set(Augmentation.model_fields)


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
        result, replay = capture(*arguments)
        found.append(replay)
        return result, replay

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
    dataset = load_dataset(trials[0].data).to(torch.device("cpu"))
    members = [Member(n, trial) for n, trial in enumerate(trials)]
    stack = Stack(members, dataset, Workers(), torch.device("cpu"))
    table = torch.full((2, 8, len(trials)), 0.01, dtype=torch.float64)
    own = passes.Passes(stack, dataset.train)
    train_epoch(own, 1, table)
    for name in ("tolist", "item", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, None)
    _, replay = record(lambda: train_epoch(own, 2, table))
    assert not isinstance(replay, str), replay


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
