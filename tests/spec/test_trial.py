"""Concrete configurations: resolved, hashed and written as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec, trial_of_job

BASE: dict[str, Any] = {"name": "a", "data": "digits", "optimizer": "sgd"}


def trial(**fields: Any) -> TrialSpec:
    return trial_of_job(Job.model_validate({**BASE, **fields}))


@pytest.mark.parametrize(
    ("activation", "init"),
    [
        ("linear", "glorot_uniform"),
        ("sigmoid", "glorot_uniform"),
        ("tanh", "glorot_uniform"),
        ("selu", "lecun_normal"),
        ("relu", "he_normal"),
        ("leaky_relu", "he_normal"),
        ("elu", "he_normal"),
        ("gelu", "he_normal"),
        ("silu", "he_normal"),
        ("mish", "he_normal"),
        ("softplus", "he_normal"),
    ],
)
def test_auto_init_follows_the_activation(activation: str, init: str) -> None:
    assert trial(activation=activation).init.name == init
    assert trial(activation=activation, init="zeros").init.name == "zeros"


def test_auto_loss_follows_the_task() -> None:
    csv = {"name": "csv", "path": "a.csv", "target": "y", "kind": "regression"}
    assert trial().loss.name == "cross_entropy"
    assert trial(data=csv).loss.name == "mse"
    assert trial(loss="mse").loss.name == "mse"


def test_another_seed_is_the_same_configuration() -> None:
    given = trial(seed=3, optimizer={"name": "sgd", "lr": 0.3})
    assert json.loads(given.config_json)["seed"] == 3
    other = given.with_seed(5)
    assert other == trial(seed=5, optimizer={"name": "sgd", "lr": 0.3})
    assert json.loads(other.config_json)["seed"] == 5
    assert (other.config_hash, given.seed) == (given.config_hash, 3)
    assert given.with_seed(3) is given


def test_json_round_trip() -> None:
    given = trial(
        seed=3,
        model={"widths": [8, 4]},
        train={
            "epochs": 3,
            "early_stopping": {"patience": 2},
            "clip": {"name": "norm", "max_grad_norm": 2.0},
        },
        schedule={"name": "cosine", "decay_epochs": 2.5},
    )
    assert TrialSpec.from_json(given.config_json) == given
    assert TrialSpec.from_json(given.config_json).config_hash == given.config_hash
    assert list(json.loads(given.config_json)) == sorted(json.loads(given.config_json))


def test_the_hash_ignores_the_seed_and_what_is_not_training() -> None:
    assert trial(seed=1).config_hash == trial(seed=2, name="b", storage="elsewhere").config_hash
    assert len(trial().config_hash) == 16


def test_the_hash_sees_every_other_choice() -> None:
    others = [
        {},
        {"optimizer": "adam"},
        {"optimizer": {"name": "sgd", "lr": 0.02}},
        {"model": {"widths": [64]}},
        {"regularization": {"dropout": 0.1}},
        {"train": {"epochs": 11}},
        {"data": {"name": "digits", "split_seed": 1}},
    ]
    assert len({trial(**fields).config_hash for fields in others}) == len(others)


def test_what_is_written_out_and_what_is_a_default_are_the_same_trial() -> None:
    written = trial(optimizer={"name": "sgd", "lr": 0.01}, init="he_normal", loss="cross_entropy")
    assert written.config_hash == trial().config_hash


def test_a_whole_number_is_the_same_float() -> None:
    assert (
        trial(optimizer={"name": "sgd", "lr": 1}).config_hash
        == trial(optimizer={"name": "sgd", "lr": 1.0}).config_hash
    )


def test_the_hash_is_the_same_in_every_process() -> None:
    code = (
        "from raydnn.spec.job import Job; from raydnn.spec.trial import trial_of_job; "
        f"print(trial_of_job(Job.model_validate({BASE!r})).config_hash)"
    )
    run = [sys.executable, "-c", code]
    hashes = {
        subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)
    }
    assert hashes == {trial().config_hash}


def test_parameters_are_flat_and_never_null() -> None:
    parameters = trial(seed=5, optimizer={"name": "sgd", "lr": 0.1}).parameters()
    assert parameters["optimizer.name"] == "sgd"
    assert parameters["optimizer.lr"] == 0.1
    assert parameters["model.widths"] == (64, 64)
    assert parameters["train.clip.name"] == "none"
    assert "seed" not in parameters
    assert "optimizer.beta1" not in parameters
    assert "train.early_stopping" not in parameters
    assert None not in parameters.values()
