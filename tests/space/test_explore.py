"""Exploring a configuration: as Ray's function where both can, inside the space everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import nextafter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers.pbt import _explore

from raydnn.errors import JobError
from raydnn.search.packing import shape_of
from raydnn.space.domains.domain import Domain, parse
from raydnn.space.explore import LASTING, explore, lasts, scaled
from raydnn.space.inverse import assignment_of
from raydnn.space.space import Space, build_space
from raydnn.space.trial import make_trial
from raydnn.spec.base import Spec
from raydnn.spec.catalogue.fields import leaves
from raydnn.spec.job import Job, Training
from raydnn.spec.reading.positions import Positions

CONDITIONAL = {
    "optimizer.lr": "loguniform(1e-4, 1)",
    "optimizer.momentum": "one_minus(loguniform(5e-3, 1))",
    "optimizer.nesterov": [False, True],
    "optimizer.weight_decay": "lognormal(-9, 2)",
    "schedule": ["constant", "cosine", "exponential", "power"],
    "schedule.exponential.gamma": "quniform(0.3, 0.9, 0.1)",
    "schedule.power.gamma": "loguniform(0.01, 10)",
    "schedule.power.exponent": "normal(0.7, 0.2)",
    "regularization.dropout": "uniform(0, 0.5)",
    "regularization.max_norm": [None, 1.0, 3.0],
    "train.augmentation.crop": "randint(0, 4)",
    "train.augmentation.cutout": "lograndint(1, 9)",
    "train.clip": ["none", "norm"],
    "train.clip.norm.max_grad_norm": "loguniform(0.1, 10)",
    "train.batch_size": [32],
    "seed": "randint(0, 1000)",
}


def setup(space: dict[str, Any]) -> tuple[Space, Job]:
    job = Job.model_validate(
        {
            "name": "x",
            "data": "digits",
            "optimizer": "sgd",
            "search": {"algorithm": "pbt", "trials": 2, "space": space},
        }
    )
    return build_space(job, Positions({})), job


@pytest.fixture(scope="module")
def conditional() -> tuple[Space, Job]:
    return setup(CONDITIONAL)


def domain(text: Any) -> Domain:
    found = parse(text)
    assert found is not None
    return found


def test_values_and_draws_are_those_of_rays_function() -> None:
    """Ray knows neither conditions nor bounds, so nothing here comes near one."""
    space, _ = setup(
        {
            "optimizer.lr": "loguniform(1e-9, 1e9)",
            "optimizer.momentum": [0.1, 0.5, 0.7, 0.9],
            "regularization.l2": "uniform(0, 1e9)",
            "regularization.max_norm": [None, 1.0],
        }
    )
    sampled: dict[str, Callable[[], Any] | list[Any]] = {}
    for parameter in space.parameters:
        options = getattr(parameter.domain, "options", None)
        draw = parameter.domain.from_unit
        sampled[parameter.path] = list(options) if options else lambda draw=draw: draw(random.random())
    for seed in range(200):
        config = space.from_unit([random.Random(seed).uniform(0.3, 0.7) for _ in space.parameters])
        random.seed(seed)
        expected, _ = _explore(config, sampled, 0.25, (0.8, 1.2), None)
        assert explore(space, config, 0.25, (0.8, 1.2), random.Random(seed)) == expected


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from([(0.8, 1.2), (0.01, 100.0), (1.0,)]),
    st.sampled_from([0.0, 0.25, 1.0]),
)
def test_what_is_explored_lies_in_the_space(
    conditional: tuple[Space, Job], seed: int, factors: tuple[float, ...], resample: float
) -> None:
    space, job = conditional
    rng = random.Random(seed)
    assignment = space.from_unit([rng.random() for _ in space.parameters])
    for _ in range(4):
        trial = make_trial(job, assignment)
        explored = explore(space, assignment, resample, factors, rng)
        assert "seed" not in explored
        assignment = {"seed": trial.seed, **explored}
        changed = make_trial(job, assignment)
        assert assignment_of(space, job, changed) == assignment
        assert shape_of(changed) == shape_of(trial)
        assert changed.train.batch_size == 32


@pytest.mark.parametrize(
    ("written", "value", "factor", "expected"),
    [
        ("uniform(0, 0.5)", 0.2, 1.2, 0.24),
        ("uniform(0, 0.5)", 0.45, 1.2, nextafter(0.5, 0)),
        ("uniform(0.1, 0.5)", 0.11, 0.8, 0.1),
        ("loguniform(1e-4, 1)", 0.01, 0.8, 0.008),
        ("one_minus(loguniform(1e-3, 0.5))", 0.9, 0.8, 0.92),
        ("one_minus(loguniform(1e-3, 0.5))", 0.6, 1.2, 0.52),
        ("one_minus(loguniform(1e-3, 0.5))", 0.52, 1.2, 0.5),
        ("normal(0, 1)", -0.5, 1.2, -0.6),
        ("randint(0, 10)", 5, 1.2, 6),
        ("randint(0, 10)", 2, 1.2, 3),  # a step at least
        ("randint(0, 10)", 9, 1.2, 9),
        ("randint(0, 10)", 1, 0.8, 0),
        ("randint(0, 10)", 0, 0.8, 0),
        ("lograndint(1, 1000000000)", 1000, 1.2, 1200),
        ("quniform(0.1, 0.9, 0.1)", 0.5, 1.2, 0.6),
        ("quniform(0.1, 0.9, 0.1)", 0.3, 0.8, 0.2),
        ("quniform(0.1, 0.9, 0.1)", 0.3, 1.0, 0.3),
    ],
)
def test_a_number_is_multiplied_inside_its_domain(
    written: str, value: float, factor: float, expected: float
) -> None:
    found = scaled(domain(written), value, factor)
    assert found == pytest.approx(expected, rel=1e-12)
    assert type(found) is type(value)


def test_a_copied_component_keeps_its_own_parameters_and_a_new_ones_are_drawn(
    conditional: tuple[Space, Job],
) -> None:
    space, _ = conditional
    given = {"schedule.name": "exponential", "schedule.gamma": 0.5, "train.clip.name": "none"}
    drawn = space.draw(np.random.default_rng(0)) | given
    copied = {path: value for path, value in drawn.items() if path != "schedule.exponent"}
    names = set()
    for seed in range(60):
        explored = explore(space, copied, 0.0, (0.8,), random.Random(seed))
        names.add((explored["schedule.name"], explored["train.clip.name"]))
        if explored["schedule.name"] == "exponential":
            assert explored["schedule.gamma"] == 0.4
        elif explored["schedule.name"] == "power":
            assert explored["schedule.gamma"] != 0.4
            assert "schedule.exponent" in explored
    # A choice moves to a neighbour; it stays where there is none.
    assert names == {(s, c) for s in ("cosine", "power") for c in ("none", "norm")}


def test_every_part_of_a_training_is_decided_upon() -> None:
    assert {name for name in LASTING if "." not in name} == set(Training.model_fields)
    known = {path for path, _ in leaves(Training)}
    groups = {path.rpartition(".")[0] for path in known}
    assert {name for name in LASTING if "." in name} <= known | groups | {"optimizer.name"}


@pytest.mark.parametrize(
    ("key", "written", "why"),
    [
        ("model.widths", [[8], [9]], "network"),
        ("train.batch_size", [16, 32], "same steps"),
        ("train.epochs", [3, 4], "same steps"),
        ("train.early_stopping.patience", [3, 4], "same steps"),
        ("optimizer", ["sgd", "adam"], "gradients"),
        ("activation", ["relu", "elu"], "network"),
        ("init", ["he_normal", "glorot_uniform"], "no effect after the start"),
        ("normalization", ["none", "batch_norm"], "network"),
        ("loss", ["cross_entropy", "mse"], "one loss"),
        ("data.scaling", ["unit", "standardize"], "data"),
    ],
)
def test_what_must_last_cannot_be_searched(key: str, written: Any, why: str) -> None:
    with pytest.raises(JobError, match=f"is searched, but a trial of pbt cannot change it .*{why}"):
        setup({key: written, "regularization.dropout": "uniform(0, 0.5)"})
    setup({key: written[:1], "regularization.dropout": "uniform(0, 0.5)"})


def test_what_may_change_has_no_part_in_shapes() -> None:
    """Every leaf with a range of its own that may be searched leaves what trials of a stack must share."""
    job = Job.model_validate({"name": "x", "data": "digits", "optimizer": "adam"})
    for group in ("optimizer", "regularization"):
        spec: Spec = getattr(job, group)
        assert lasts(f"{group}.x") is None
        for name, info in type(spec).model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and "search" in extra and lasts(f"{group}.{name}") is None:
                values = domain(extra["search"])
                trials = [make_trial(job, {f"{group}.{name}": values.from_unit(u)}) for u in (0.1, 0.9)]
                assert shape_of(trials[0]) == shape_of(trials[1])
