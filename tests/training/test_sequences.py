"""Models for sequences are trained as all else is: stacked, resumed, by two workers, and read back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sessions import curves, train_by_workers, train_plan, trained_run

from raydnn.data.load import load_dataset
from raydnn.data.sources.raw import Arrays
from raydnn.errors import DataError, JobError
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import create_run
from raydnn.training.stack.stack import architecture_of
from raydnn.training.trained import open_trained

CPU = torch.device("cpu")
STEPS = 6
MODELS: dict[str, dict[str, Any]] = {
    "rnn": {"name": "rnn", "units": 16, "layers": 2},
    "lstm": {"name": "lstm", "units": 16, "bidirectional": True, "readout": "mean"},
    "gru": {"name": "gru", "units": 16},
    "transformer": {"name": "transformer", "width": 16, "layers": 1, "feedforward": 16},
}
DROPPED = {"dropout": 0.3, "l2": 1e-3}


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Padded sequences of numbers whose sum decides, and of tokens where one of them does."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("sequences")
    lengths = rng.integers(2, STEPS + 1, size=180)
    there = np.arange(STEPS) < lengths[:, None]
    numbers = rng.normal(size=(180, STEPS, 2)).astype(np.float32)
    tokens = np.where(there, rng.integers(1, 6, size=(180, STEPS)), 0)
    targets = {
        "numbers": ((numbers[..., 0] * there).sum(axis=1) > 0).astype(int),
        "tokens": (tokens == 3).any(axis=1).astype(int),
    }
    found = {}
    for name, inputs in (("numbers", numbers), ("tokens", tokens)):
        arrays = {"inputs": inputs[:150], "test_inputs": inputs[150:]}
        arrays |= {"targets": targets[name][:150], "test_targets": targets[name][150:]}
        if name == "numbers":
            arrays |= {"lengths": lengths[:150], "test_lengths": lengths[150:]}
        np.savez(folder / f"{name}.npz", **arrays)
        found[name] = {"name": "npz", "path": str(folder / f"{name}.npz"), "validation": 30}
    found["tokens"]["padding"] = 0
    found["numbers"]["scaling"] = "standardize"
    return found


@pytest.fixture
def trials(
    make_trial: Callable[..., TrialSpec], sequences: dict[str, dict[str, Any]]
) -> Callable[..., list[TrialSpec]]:
    """Three members of a model, that differ in seed, optimizer and regularization."""

    def make(model: str, data: str) -> list[TrialSpec]:
        fields = {"model": MODELS[model], "data": sequences[data], "train": {"epochs": 4}}
        return [
            make_trial(**fields, optimizer={"name": "adam", "lr": 0.02}, regularization=DROPPED),
            make_trial(**fields, optimizer={"name": "adam", "lr": 0.01}, seed=3),
            make_trial(
                **fields, optimizer={"name": "sgd", "lr": 0.2, "momentum": 0.9}, regularization=DROPPED
            ),
        ]

    return make


@pytest.mark.parametrize("data", ["numbers", "tokens"])
@pytest.mark.parametrize("model", MODELS)
def test_members_of_a_stack_are_what_they_are_alone_resumed_and_read_back(
    trials: Callable[..., list[TrialSpec]], tmp_path: Path, model: str, data: str
) -> None:
    members = list(enumerate(trials(model, data)))
    together = trained_run(tmp_path, "together", members)
    broken = trained_run(tmp_path, "broken", members, dies_at=2)
    assert curves(broken) == curves(together)
    alone = trained_run(tmp_path, "alone", members[:1])
    for row, wanted in zip(curves(together, "t00000"), curves(alone), strict=True):
        assert row == pytest.approx(wanted, rel=2e-5)
    for number, _ in members:
        own = curves(together, f"t{number:05d}")
        assert own[-1]["train_loss"] < own[0]["train_loss"]
    row = next(row for row in read(together.location, "trials").to_pylist() if row["number"] == 1)
    trained = open_trained(together, "t00001")
    assert trained.metrics("test")["loss"] == row["m_test_loss"]


def test_two_workers_train_what_one_trains(trials: Callable[..., list[TrialSpec]], tmp_path: Path) -> None:
    stacks = []
    for model, data in zip(MODELS, ("tokens", "numbers", "tokens", "numbers"), strict=True):
        stacks.append([(3 * len(stacks) + k, trial) for k, trial in enumerate(trials(model, data))])
    one, two = (
        create_run(str(tmp_path), name, "", {"metric": "validation_loss", "mode": "min"}) for name in "12"
    )
    for number, stack in enumerate(stacks):
        plan = StackPlan(number, tuple(stack))
        train_plan(one, plan)
    train_by_workers(two, stacks)
    for number, trial in (each for stack in stacks for each in stack):
        name = f"t{number:05d}"
        for row, wanted in zip(curves(two, name), curves(one, name), strict=True):
            # Sums are added up in another order, and Adam makes steps of the rounding of gradients near 0.
            near = {"rel": 5e-5} if row["epoch"] <= 2 else {"rel": 1e-3, "abs": 1e-4}
            assert row == pytest.approx(wanted, **near), trial.model


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "mlp"}, "model: mlp with padded sequences; allowed: rnn, lstm, gru, transformer, module"),
        ({"train": {"augmentation": {"mixup": 0.2}}}, "train.augmentation.mixup: given with tokens"),
        (
            {"train": {"augmentation": {"flip": 0.5}}},
            "train.augmentation.flip: 0.5 with tokens, which are no images of height × width; allowed: 0",
        ),
    ],
)
def test_what_does_not_go_with_sequences_is_refused(
    make_trial: Callable[..., TrialSpec], sequences: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    trial = make_trial(**{"data": sequences["tokens"], "model": "gru", **fields})
    with pytest.raises(JobError, match=re.escape(message)):
        architecture_of(trial, load_dataset(trial.data))


@pytest.mark.parametrize("model", ["gru", "transformer"])
def test_sequences_are_not_augmented_as_images(
    make_trial: Callable[..., TrialSpec], tmp_path: Path, model: str
) -> None:
    path = tmp_path / "numbers.npz"
    np.savez(path, inputs=np.random.default_rng(0).normal(size=(20, 6, 4)), targets=np.arange(20) % 2)

    def architecture(data: dict[str, Any], **augmentation: Any) -> Any:
        trial = make_trial(data=data, model=model, train={"augmentation": augmentation})
        return architecture_of(trial, load_dataset(trial.data))

    sequences = {"name": "npz", "path": str(path)}
    told = "train.augmentation.cutmix: 1 with sequences of 6 × 4 numbers, which are no images"
    with pytest.raises(JobError, match=re.escape(told)):
        architecture(sequences, cutmix=1.0)
    assert architecture(sequences, mixup=1.0)
    # Pictures are, whatever reads them.
    assert architecture({"name": "digits"}, cutmix=1.0)
    per_channel = {"scaling": {"name": "center", "per": "channel"}}
    assert architecture({"name": "digits", **per_channel})
    with pytest.raises(
        JobError, match=re.escape("data.scaling.per: channel with sequences of 6 × 4 numbers, which")
    ):
        architecture({**sequences, **per_channel})


def test_a_token_outside_the_vocabulary_is_refused_with_its_row(
    make_trial: Callable[..., TrialSpec], sequences: dict[str, Any]
) -> None:
    model = {"name": "gru", "vocabulary": 5}
    trial = make_trial(data=sequences["tokens"], model=model)
    dataset = load_dataset(trial.data)
    row = int(np.flatnonzero((np.load(sequences["tokens"]["path"])["inputs"] == 5).any(axis=1))[0]) + 1
    message = f"array 'inputs', row {row}: the token 5 is given; the vocabulary has 5, 0 to 4"
    with pytest.raises(DataError, match=message):
        architecture_of(trial, dataset)


def test_a_token_outside_the_vocabulary_is_refused_at_prediction_with_its_row(
    make_trial: Callable[..., TrialSpec], sequences: dict[str, Any], tmp_path: Path
) -> None:
    trial = make_trial(data=sequences["tokens"], model={"name": "gru", "units": 4}, train={"epochs": 1})
    trained = open_trained(trained_run(tmp_path, "tokens", [(0, trial)]), "t00000")
    known = np.array([[1, 5, 2, 0, 0, 0], [4, 1, 3, 2, 1, 0]])
    assert trained.outputs(known).shape == (2, 2)
    for wrong in (6, -1, 2.5):
        given = known.astype(float)
        given[1, 2] = wrong
        message = f"row 2, step 3: the token {wrong:g} is given; the vocabulary has 6, 0 to 5"
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            trained.outputs(given)
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            trained.measure(Arrays(given.astype(np.float32), np.array([0, 1])))


def test_a_table_of_numbers_is_no_sequence(make_trial: Callable[..., TrialSpec]) -> None:
    trial = make_trial(model="lstm")
    with pytest.raises(
        JobError, match="lstm with examples of 6 numbers, which are no tokens; needed: sequences"
    ):
        architecture_of(trial, load_dataset(trial.data))
