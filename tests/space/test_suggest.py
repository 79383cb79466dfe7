"""Optuna's define-by-run: the same space, one fixed distribution a name, and nothing asked that a trial lacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from raydnn.space.domains.domain import DOMAINS
from raydnn.space.space import Space, build_space, make_trial
from raydnn.space.suggest import ASKED, suggest
from raydnn.spec.job import Job
from raydnn.spec.reading.load import load_job
from raydnn.spec.reading.positions import Positions

FULL_SPACE = Path(__file__).parents[2] / "jobs" / "full-space.yaml"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns of choices that it cannot store
        yield


def space_of(space: dict[str, Any], **fields: Any) -> Space:
    given = {"name": "job", "data": "digits", "optimizer": "sgd"} | fields
    return build_space(Job.model_validate(given | {"search": {"trials": 1, "space": space}}), Positions({}))


def study(seed: int = 0) -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))


def test_every_domain_can_be_asked_for() -> None:
    assert set(ASKED) == set(DOMAINS.values())


def test_the_full_space_gives_valid_trials_of_the_domains_and_the_same_again() -> None:
    loaded = load_job(FULL_SPACE)
    space = build_space(loaded.job, loaded.positions)
    asked = study()
    for _ in range(200):
        trial = asked.ask()
        assignment = suggest(space, trial)
        make_trial(loaded.job, assignment)
        active = [p for p in space.parameters if space.domain(p, assignment) is not None]
        assert list(assignment) == [parameter.path for parameter in active]
        assert suggest(space, FixedTrial(trial.params)) == assignment
        # The cube, which the other designs of points use, reaches the same assignment.
        assert space.from_unit(space.to_unit(assignment)) == pytest.approx(assignment)
        asked.tell(trial, 0.0)


def test_ranges_keep_their_scale_and_their_ends() -> None:
    space = space_of(
        {
            "optimizer.lr": "loguniform(1e-3, 1)",
            "optimizer.momentum": "one_minus(loguniform(0.01, 1))",
            "regularization.dropout": "uniform(0, 0.5)",
            "train.batch_size": "lograndint(1, 129)",
            "train.epochs": "randint(2, 5)",
            "regularization.label_smoothing": "quniform(0, 0.3, 0.1)",
            "regularization.l2": "lognormal(-7, 1)",
        }
    )
    trial = study().ask()
    suggest(space, trial)
    asked = trial.distributions
    assert list(asked) == [
        "optimizer.sgd.lr",
        "1 - optimizer.sgd.momentum",
        "regularization.dropout",
        "train.batch_size",
        "train.epochs",
        "step of regularization.label_smoothing",
        "quantile of regularization.l2",
    ]
    assert asked["train.batch_size"] == IntDistribution(1, 128, log=True)
    assert asked["train.epochs"] == IntDistribution(2, 4)
    assert asked["step of regularization.label_smoothing"] == IntDistribution(0, 3)
    for name, low, high, log in (
        ("optimizer.sgd.lr", 1e-3, 1, True),
        ("1 - optimizer.sgd.momentum", 0.01, 1, True),
        ("regularization.dropout", 0, 0.5, False),
    ):
        distribution = asked[name]
        assert isinstance(distribution, FloatDistribution)
        assert distribution.log is log
        assert (distribution.low, distribution.high) == pytest.approx((low, high))
        assert distribution.high < high  # the upper end is no value of the domain


def test_each_branch_has_names_of_its_own_and_each_narrowing_one_distribution() -> None:
    space = space_of(
        {
            "optimizer": ["sgd", "adam"],
            "optimizer.lr": "loguniform(1e-3, 1)",
            "loss": ["mse", "cross_entropy"],
            "output": ["linear", "tanh", "softmax"],
            "model.widths": "choice([8], [8, 8])",
            "train.accumulate": [2],
        }
    )
    asked = study()
    names: set[str] = set()
    for _ in range(60):  # a second distribution for a name is an error in Optuna
        trial = asked.ask()
        assignment = suggest(space, trial)
        assert assignment["model.widths"] in ((8,), (8, 8))
        assert assignment["train.accumulate"] == 2
        lr = f"optimizer.{assignment['optimizer.name']}.lr"
        assert trial.params[lr] == assignment["optimizer.lr"]
        names |= set(trial.params)
        asked.tell(trial, 0.0)
    assert names == {
        "optimizer",
        "optimizer.sgd.lr",
        "optimizer.adam.lr",
        "loss",
        "output",
        "output in choice(linear, softmax)",
        "model.mlp.widths",
    }
