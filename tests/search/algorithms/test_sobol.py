"""Sobol search: a balanced, seeded sequence whose points do not depend on how many are drawn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import qmc

from raydnn.errors import JobError
from raydnn.search.algorithms.registry import propose
from raydnn.search.algorithms.sobol import points
from raydnn.space.space import build_space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions


def job(space: dict[str, Any], trials: int, seed: int = 0) -> Job:
    search = {"algorithm": "sobol", "trials": trials, "space": space}
    return Job.model_validate(
        {"name": "job", "seed": seed, "data": "digits", "optimizer": "sgd", "search": search}
    )


CONTINUOUS = {"optimizer": "all", "activation": ["relu", "tanh"], "regularization": "all"}
FINITE = {"optimizer": ["sgd", "adam"], "optimizer.sgd.momentum": [0, 0.5, 0.9], "seed": [0, 1, 2]}


def proposed(space: dict[str, Any], trials: int, seed: int = 0) -> list[Any]:
    given = job(space, trials, seed)
    return propose(build_space(given, Positions({})), given)


def test_every_half_quarter_and_eighth_of_each_coordinate_has_its_share() -> None:
    cube = np.array(points(8, 64, 3))
    for parts in (2, 4, 8, 64):
        counts = [np.bincount((column * parts).astype(int), minlength=parts) for column in cube.T]
        assert np.all(np.array(counts) == 64 // parts)
    drawn = np.random.default_rng(3).random((64, 8))
    assert qmc.discrepancy(cube) < qmc.discrepancy(drawn) / 2


def test_a_point_depends_on_the_seed_and_its_number_only() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        many = points(5, 300, 7)
        assert all(points(5, count, 7) == many[:count] for count in (1, 2, 3, 64, 257))
    assert points(5, 3, 8) != many[:3]


@pytest.mark.parametrize(("space", "trials"), [(CONTINUOUS, 50), (FINITE, 12)])
def test_a_trial_does_not_depend_on_how_many_are_proposed(space: dict[str, Any], trials: int) -> None:
    found = proposed(space, trials)
    assert found[: trials // 2] == proposed(space, trials // 2)
    assert len({(trial.config_hash, trial.seed) for trial in found}) == trials
    assert proposed(space, 5, seed=1) != found[:5]


def test_trials_are_the_spaces_assignments_at_the_points() -> None:
    given = job(CONTINUOUS, 9, seed=4)
    space = build_space(given, Positions({}))
    sequence = points(len(space.parameters), 9, 4)
    assert propose(space, given) == [make_trial(given, space.from_unit(point)) for point in sequence]


def test_the_number_of_trials_must_be_given_and_at_most_the_size_of_the_space() -> None:
    with pytest.raises(JobError, match=r"search\.trials: 13; allowed: at most 12, the size of the space"):
        proposed(FINITE, 13)
