"""SELU's conditions: each broken one is named, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from raydnn.spec.checks.selu import selu_warnings
from raydnn.spec.job import Job
from raydnn.spec.trial import trial_of_job

GOOD: dict[str, Any] = {
    "name": "a",
    "data": {"name": "digits", "scaling": "standardize"},
    "activation": "selu",
    "optimizer": "sgd",
}


def warnings(**fields: Any) -> list[str]:
    return selu_warnings(trial_of_job(Job.model_validate({**GOOD, **fields})))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"init": "lecun_uniform"},
        {"init": "variance_scaling"},
        {"activation": "relu", "data": "digits", "init": "zeros", "regularization": {"dropout": 0.5}},
    ],
)
def test_nothing_is_said_where_nothing_is_broken(fields: dict[str, Any]) -> None:
    assert warnings(**fields) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data": {"name": "digits", "scaling": "unit"}}, "data.scaling: unit, but SELU needs standardize"),
        ({"init": "he_normal"}, "init: he_normal, but SELU needs lecun_normal"),
        (
            {"init": {"name": "variance_scaling", "scale": 2.0}},
            "init: variance_scaling, but SELU needs lecun_normal",
        ),
        (
            {"regularization": {"dropout": 0.1}},
            "regularization.dropout: 0.1, but SELU needs alpha_dropout instead",
        ),
        (
            {"regularization": {"input_dropout": 0.1}},
            "regularization.input_dropout: 0.1, but SELU needs inputs of variance 1",
        ),
    ],
)
def test_the_broken_condition_is_named(fields: dict[str, Any], said: str) -> None:
    assert warnings(**fields) == [said]


def test_all_broken_conditions_are_named() -> None:
    assert len(warnings(data="digits", init="zeros", regularization={"dropout": 0.1})) == 3
