"""Proposing trials: names, independence of draws, repeats, order."""

from __future__ import annotations

from typing import Any

import pytest

from raydnn.errors import JobError
from raydnn.search.algorithms.random import generator
from raydnn.search.algorithms.registry import ALGORITHMS, propose
from raydnn.space.space import build_space, make_trial
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.trial import TrialSpec


def proposed(space: dict[str, Any], seed: int = 0, **search: Any) -> list[TrialSpec]:
    given = {"name": "job", "seed": seed, "data": "digits", "optimizer": "sgd"}
    job = Job.model_validate(given | {"search": {"space": space} | search})
    return propose(build_space(job, Positions({})), job)


CONTINUOUS = {"optimizer": "all", "activation": ["relu", "tanh"]}
FINITE = {"optimizer": ["sgd", "adam"], "optimizer.sgd.momentum": [0, 0.5, 0.9], "seed": [0, 1, 2]}


def test_every_algorithm_of_the_catalogue_is_here() -> None:
    assert set(ALGORITHMS) == set(components("algorithm"))


def test_the_same_seed_gives_the_same_trials_and_another_seed_others() -> None:
    assert proposed(CONTINUOUS, trials=20) == proposed(CONTINUOUS, trials=20)
    assert proposed(CONTINUOUS, trials=20) != proposed(CONTINUOUS, trials=20, seed=1)


@pytest.mark.parametrize(("space", "trials"), [(CONTINUOUS, 50), (FINITE, 12)])
def test_a_trial_does_not_depend_on_how_many_are_drawn(space: dict[str, Any], trials: int) -> None:
    assert proposed(space, trials=trials)[: trials // 2] == proposed(space, trials=trials // 2)


def test_a_trial_can_be_drawn_alone() -> None:
    given = {"name": "job", "seed": 5, "data": "digits", "optimizer": "sgd"}
    job = Job.model_validate(given | {"search": {"space": CONTINUOUS, "trials": 9}})
    space = build_space(job, Positions({}))
    assert make_trial(job, space.draw(generator(5, 7))) == propose(space, job)[7]


def test_a_finite_space_is_drawn_without_repeats_to_its_end() -> None:
    trials = proposed(FINITE, trials=12)
    assert len({(trial.config_hash, trial.seed) for trial in trials}) == 12


def test_large_finite_spaces_reach_their_last_configuration() -> None:
    trials = proposed({"seed": "randint(0, 400)"}, trials=400)
    assert {trial.seed for trial in trials} == set(range(400))


@pytest.mark.parametrize("algorithm", ["random", "sobol", "grid"])
def test_auto_and_what_it_stands_for_are_one_configuration(algorithm: str) -> None:
    trials = proposed({"init": ["auto", "he_normal"]}, trials=2, algorithm=algorithm)
    assert [trial.init.name for trial in trials] == ["he_normal"]


def test_a_grid_comes_in_order_whole_or_up_to_the_number_asked_for() -> None:
    trials = proposed({"seed": [3, 1], "train.batch_size": "grid(16, 32)"}, algorithm="grid")
    found = [(trial.seed, trial.train.batch_size) for trial in trials]
    assert found == [(3, 16), (3, 32), (1, 16), (1, 32)]
    first = proposed({"seed": [3, 1], "train.batch_size": "grid(16, 32)"}, algorithm="grid", trials=3)
    assert first == trials[:3]


def test_a_huge_grid_must_be_asked_for() -> None:
    with pytest.raises(JobError, match="holds 1000000000 trials"):
        proposed({"seed": "randint(0, 1000000000)"}, algorithm="grid")
    assert len(proposed({"seed": "randint(0, 1000000000)"}, algorithm="grid", trials=5)) == 5
