"""From a trial's values back to the assignment that gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.space.inverse import OutsideError, assignment_of
from raydnn.space.space import Space, build_space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions

WRITTEN = {
    "optimizer": ["sgd", "adam", "rmsprop"],
    "optimizer.sgd.momentum": "uniform(0, 0.99)",
    "optimizer.adam.beta2": "one_minus(loguniform(1e-4, 1e-1))",
    "optimizer.*.lr": "loguniform(1e-5, 1)",
    "activation": ["relu", "elu", "selu"],
    "init": ["lecun_normal", "he_normal", "auto"],
    "regularization.dropout": "quniform(0, 0.5, 0.1)",
    "regularization.l1": "normal(0.01, 0.01)",
    "regularization.l2": "lognormal(-9, 2)",
    "regularization.max_norm": [None, 2],
    "train.batch_size": "lograndint(8, 64)",
    "train.epochs": "randint(1, 9)",
    "model.widths": [[8], [16, 8]],
    "seed": [3, 1],
}


def spanned(written: dict[str, Any], **fields: Any) -> tuple[Space, Job]:
    given = {"name": "job", "data": "digits", "optimizer": "sgd"} | fields
    job = Job.model_validate(given | {"search": {"space": written, "trials": 1}})
    return build_space(job, Positions({})), job


SPACE, JOB = spanned(WRITTEN)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_drawn_trial_gives_an_assignment_of_the_same_trial(seed: int) -> None:
    trial = make_trial(JOB, SPACE.draw(np.random.default_rng(seed)))
    assert make_trial(JOB, assignment_of(SPACE, JOB, trial)) == trial


def test_auto_stands_for_what_it_is_resolved_into() -> None:
    space, job = spanned({"init": ["auto", "glorot_uniform"], "activation": ["relu", "tanh"]})
    trial = make_trial(job, {"activation.name": "relu", "init.name": "auto"})
    assert trial.init.name == "he_normal"
    assert assignment_of(space, job, trial) == {"activation.name": "relu", "init.name": "auto"}


@pytest.mark.parametrize(
    ("written", "fixed", "told"),
    [
        (
            {"optimizer.lr": "loguniform(1e-3, 0.1)"},
            {},
            r"optimizer\.lr: 0\.5; allowed: loguniform\(0\.001, 0\.1\)",
        ),
        ({"optimizer.lr": "uniform(0.1, 0.5)"}, {}, r"optimizer\.lr: 0\.5; allowed: uniform\(0\.1, 0\.5\)"),
        ({"optimizer.lr": [0.1, 0.2]}, {}, r"optimizer\.lr: 0\.5; allowed: choice\(0\.1, 0\.2\)"),
        ({"optimizer.lr": "quniform(0.1, 1, 0.3)"}, {}, r"optimizer\.lr: 0\.5; allowed: quniform"),
        ({"optimizer": ["adam", "rmsprop"]}, {}, r"optimizer: sgd; allowed: choice\(adam, rmsprop\)"),
        (
            {"optimizer.lr": [0.5]},
            {"activation": "tanh"},
            "activation: relu; allowed: tanh, which this job fixes",
        ),
    ],
)
def test_a_trial_outside_is_told_with_its_value_and_what_is_allowed(
    written: dict[str, Any], fixed: dict[str, Any], told: str
) -> None:
    _, other = spanned({"optimizer.lr": [0.5]})
    space, job = spanned(written, **fixed)
    with pytest.raises(OutsideError, match=told):
        assignment_of(space, job, make_trial(other, {"optimizer.lr": 0.5}))


def test_what_is_not_held_is_the_jobs_own() -> None:
    _, other = spanned({"optimizer.lr": [0.5]}, activation="tanh", train={"epochs": 3})
    space, job = spanned({"optimizer.lr": "uniform(0.1, 1)"})
    trial = make_trial(other, {"optimizer.lr": 0.5})
    assert assignment_of(space, job, trial, {"optimizer.lr"}) == {"optimizer.lr": 0.5}
    with pytest.raises(OutsideError, match="activation: tanh; allowed: relu, which this job fixes"):
        assignment_of(space, job, trial, {"optimizer.lr", "activation.name"})
    with pytest.raises(OutsideError, match="activation"):
        assignment_of(space, job, trial)
