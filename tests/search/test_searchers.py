"""Algorithms that learn: reproducible, valid and distinct proposals, and better ones than random search's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import mean
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raydnn.search.algorithms.gp import capped_scores
from raydnn.search.algorithms.optuna_study import asked
from raydnn.search.algorithms.registry import LEARNING, UP_FRONT, generations, propose
from raydnn.search.algorithms.searcher import Evaluation, Searcher
from raydnn.search.history import Result
from raydnn.space.space import Space, build_space, make_trial
from raydnn.space.suggest import TAIL, suggest
from raydnn.spec.algorithm import Gp
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.trial import TrialSpec

CONDITIONAL = {
    "optimizer": ["sgd", "adam", "rmsprop"],
    "optimizer.sgd.momentum": "uniform(0, 0.99)",
    "optimizer.adam.beta2": "one_minus(loguniform(1e-4, 1e-1))",
    "optimizer.*.lr": "loguniform(1e-5, 1)",
    "activation": ["relu", "elu", "selu"],
    "init": ["lecun_normal", "he_normal", "auto"],
    "regularization.dropout": "quniform(0, 0.5, 0.1)",
    "regularization.alpha_dropout": "uniform(0, 0.2)",
    "regularization.l2": "lognormal(-9, 2)",
    "train.batch_size": "lograndint(8, 64)",
    "model.widths": [[8], [16, 8]],
}
NUMBERS = {
    "optimizer.lr": "loguniform(1e-5, 1e-1)",
    "optimizer.beta1": "uniform(0.5, 0.99)",
    "optimizer.eps": "loguniform(1e-10, 1e-4)",
    "regularization.dropout": "uniform(0, 0.8)",
    "regularization.l2": "loguniform(1e-8, 1e-1)",
    "regularization.l1": "loguniform(1e-8, 1e-1)",
    "regularization.label_smoothing": "uniform(0, 0.5)",
    "train.batch_size": "lograndint(8, 512)",
}
FINITE = {"optimizer": ["sgd", "adam"], "optimizer.sgd.momentum": "quniform(0, 0.9, 0.1)", "seed": [0, 1, 2]}
SMALL = {"tpe": {"startup": 6, "batch": 5}, "gp": {"startup": 6, "batch": 2}}
"""Few trials teach enough for what is tested."""
TRIALS = dict.fromkeys(LEARNING, 30) | {"gp": 8}

Objective = Callable[[Space, TrialSpec], Result]


def setup(space: dict[str, Any], seed: int, algorithm: str, trials: int, **search: Any) -> tuple[Space, Job]:
    fields = {"name": algorithm, **SMALL.get(algorithm, {}), **search.pop("fields", {})}
    given = {"name": "job", "seed": seed, "data": "digits", "optimizer": "adam"}
    search = {"space": space, "algorithm": fields, "trials": trials} | search
    job = Job.model_validate(given | {"search": search})
    return build_space(job, Positions({})), job


def sweep(space: Space, job: Job, objective: Objective) -> list[tuple[TrialSpec, Result]]:
    """A sweep without training, from its first generation to its last."""
    source = generations(space, job)
    found: list[tuple[TrialSpec, Result]] = []
    while trials := source.propose():
        results = [objective(space, trial) for trial in trials]
        source.learn(dict(enumerate(results, len(found))))
        found += zip(trials, results, strict=True)
    return found


def valley(space: Space, trial: TrialSpec) -> Result:
    """A quadratic with its least value inside the unit cube, fully trained."""
    return Result(value(space, trial), 3, True)


def value(space: Space, trial: TrialSpec) -> float:
    values = trial.parameters()
    point = np.array([parameter.domain.to_unit(values[parameter.path]) for parameter in space.parameters])
    return float(((point - np.linspace(0.2, 0.8, len(point))) ** 2).sum())


def mixed(_space: Space, trial: TrialSpec) -> Result:
    """Some trials diverge, some are stopped; adam with a learning rate of 0.001 is best."""
    values = trial.parameters()
    if values["optimizer.lr"] > 0.3:
        return Result(None, 1, False)
    loss = (math.log10(values["optimizer.lr"]) + 3) ** 2 + (trial.optimizer.name != "adam")
    return Result(loss, 1 if loss > 3 else 9, loss <= 3)


def space_for(algorithm: str) -> tuple[dict[str, Any], Objective]:
    return (NUMBERS, valley) if algorithm == "pso" else (CONDITIONAL, mixed)


def test_names() -> None:
    assert not LEARNING.keys() & UP_FRONT.keys()


@pytest.mark.parametrize("algorithm", LEARNING)
def test_proposals_follow_from_seed_and_results(algorithm: str) -> None:
    written, objective = space_for(algorithm)

    def tried(seed: int, told: Objective) -> list[TrialSpec]:
        space, job = setup(written, seed, algorithm, TRIALS[algorithm])
        return [trial for trial, _ in sweep(space, job, told)]

    def turned(space: Space, trial: TrialSpec) -> Result:
        result = objective(space, trial)
        return result if result.value is None else replace(result, value=-result.value)

    first = tried(0, objective)
    assert tried(0, objective) == first
    assert tried(1, objective)[0] != first[0]
    others = tried(0, turned)
    assert others[0] == first[0]
    assert others != first


@pytest.mark.parametrize(
    "algorithm",
    [pytest.param(name, marks=pytest.mark.slow) if name == "gp" else name for name in LEARNING],
)
def test_what_is_told_again_is_gone_on_with(algorithm: str) -> None:
    """A searcher rebuilt from what a sweep has so far, without training, goes on as the first one would have."""
    written, objective = space_for(algorithm)
    space, job = setup(written, 2, algorithm, TRIALS[algorithm])
    found = sweep(space, job, objective)
    known = {(trial.config_hash, trial.seed): result for trial, result in found[: len(found) // 2]}

    def replayed(space: Space, trial: TrialSpec) -> Result:
        return known.pop((trial.config_hash, trial.seed), None) or objective(space, trial)

    assert sweep(space, job, replayed) == found
    assert not known


@pytest.mark.parametrize("algorithm", LEARNING)
def test_every_proposal_is_another_valid_trial(algorithm: str) -> None:
    written, objective = space_for(algorithm)
    space, job = setup(written, 3, algorithm, TRIALS[algorithm])
    found = [trial for trial, _ in sweep(space, job, objective)]
    assert job.search is not None
    assert len(found) == job.search.trials
    assert len({trial.config_hash for trial in found}) == len(found)
    for trial in found:
        assert TrialSpec.from_json(trial.config_json) == trial


@pytest.mark.parametrize("algorithm", sorted(LEARNING.keys() - {"cmaes"}))
def test_the_first_generation_is_random_searchs(algorithm: str) -> None:
    written, _ = space_for(algorithm)
    first = propose(*setup(written, 4, algorithm, 40))
    assert first == propose(*setup(written, 4, "random", 40))[: len(first)]


@pytest.mark.parametrize("algorithm", sorted(LEARNING.keys() - {"pso", "cmaes", "gp"}))
def test_a_finite_space_is_tried_to_its_end_without_repeats(algorithm: str) -> None:
    def result(_space: Space, trial: TrialSpec) -> Result:
        return Result(float(trial.seed), 1, True)

    found = [trial for trial, _ in sweep(*setup(FINITE, 0, algorithm, 33), result)]
    assert len({(trial.config_hash, trial.seed) for trial in found}) == 33


@pytest.mark.parametrize("algorithm", LEARNING)
def test_sweeps_in_which_all_fails_go_on(algorithm: str) -> None:
    written, _ = space_for(algorithm)
    space, job = setup(written, 0, algorithm, TRIALS[algorithm])
    assert job.search is not None
    assert len(sweep(space, job, lambda _space, _trial: Result(None, 0, False))) == job.search.trials


@pytest.mark.parametrize("algorithm", sorted(LEARNING.keys() - {"cmaes"}))
def test_results_of_others_are_learned_from(algorithm: str) -> None:
    """Told of a point in the valley, a searcher proposes nearer to it than one that was not."""
    space, job = setup(NUMBERS, 0, algorithm, 1)
    assert job.search is not None
    at = space.from_unit([0.3] * len(space.parameters))

    def distance(told: int) -> float:
        assert job.search is not None
        searcher: Searcher = LEARNING[algorithm](space, 0, job.search.algorithm)
        own = [
            Evaluation(k, assignment, 1.0 + k, 1, True)
            for k, assignment in enumerate(searcher.ask(searcher.batch))
        ]
        searcher.tell([*own, *[Evaluation(None, at, -told / 10, 1, True)] * told])
        points = np.array([space.to_unit(assignment) for assignment in searcher.ask(3)])
        return float(np.abs(points - 0.3).mean())

    assert distance(6) < distance(0)


def test_evaluations_are_ranked_by_how_far_they_came_and_then_by_score() -> None:
    ranked = [
        Evaluation(0, {}, 0.4, 27, True),
        Evaluation(1, {}, 0.5, 20, True),
        Evaluation(2, {}, 0.6, 9, False),
        Evaluation(3, {}, 0.3, 3, False),
        Evaluation(4, {}, 0.9, 3, False),
        Evaluation(5, {}, None, 12, False),
    ]
    assert all(better.rank < worse.rank for better, worse in pairwise(ranked))


@given(st.lists(st.none() | st.floats(-1e9, 1e30), min_size=1))
def test_capped_scores_keep_the_better_half_and_stay_in_its_scale(scores: list[float | None]) -> None:
    evaluations = [Evaluation(k, {}, score, 1, score is not None) for k, score in enumerate(scores)]
    capped = capped_scores(evaluations)
    assert all(math.isfinite(score) for score in capped)
    known = [score for score in scores if score is not None]
    for score, cap in zip(scores, capped, strict=True):
        if score is None:
            assert cap == max(capped)
        elif score <= np.median(known):
            assert cap == score


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
@example(35)
def test_what_optuna_would_have_answered_gives_the_assignment_again(seed: int) -> None:
    from optuna.trial import FixedTrial

    space, _ = setup(CONDITIONAL, 0, "tpe", 1)
    assignment = space.draw(np.random.default_rng(seed))
    params, distributions = asked(space, assignment)
    again = suggest(space, FixedTrial(params))
    assert again.keys() == assignment.keys()
    cut = {name.removeprefix("quantile of ") for name, value in params.items() if value in (TAIL, 1 - TAIL)}
    for path, drawn in assignment.items():
        if path not in cut:
            assert again[path] == (pytest.approx(drawn, rel=1e-12) if isinstance(drawn, float) else drawn)
    assert params.keys() == distributions.keys()
    assert all(
        distributions[name]._contains(distributions[name].to_internal_repr(params[name])) for name in params
    )


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from(sorted(LEARNING.keys() - {"gp"})),
    st.integers(1, 30),
    st.integers(0, 1000),
    st.sampled_from(["min", "max"]),
    st.randoms(use_true_random=False),
)
def test_any_results_give_as_many_different_trials_as_asked_for(
    algorithm: str, trials: int, seed: int, mode: str, rng: Any
) -> None:
    space, job = setup(NUMBERS if algorithm == "pso" else CONDITIONAL, seed, algorithm, trials, mode=mode)

    def result(_space: Space, _trial: TrialSpec) -> Result:
        drawn = rng.choice([None, 0.0, -1e300, 1e300, rng.random()])
        return Result(drawn, rng.randrange(4), rng.random() < 0.5)

    found = sweep(space, job, result)
    assert len({(trial.config_hash, trial.seed) for trial, _ in found}) == len(found) == trials


@pytest.mark.parametrize(
    ("algorithm", "trials", "fields"),
    [
        ("tpe", 80, {"startup": 16, "batch": 16}),
        pytest.param("gp", 36, {"startup": 12, "batch": 6}, marks=pytest.mark.slow),
    ],
)
def test_model_based_search_beats_random_search_in_most_seeds(
    algorithm: str, trials: int, fields: dict[str, int]
) -> None:
    assert len(NUMBERS) >= 8
    wins = [best(algorithm, seed, trials, fields=fields) < best("random", seed, trials) for seed in range(5)]
    assert sum(wins) >= 4


def test_a_process_that_knows_a_valley_proposes_its_bottom() -> None:
    space, job = setup(NUMBERS, 0, "random", 40)
    known = [(trial, value(space, trial)) for trial in propose(space, job)]
    searcher = LEARNING["gp"](space, 0, Gp())
    searcher.tell(
        [
            Evaluation(None, {p.path: trial.parameters()[p.path] for p in space.parameters}, score, 1, True)
            for trial, score in known
        ]
    )
    (proposed,) = searcher.ask(1)
    assert value(space, make_trial(job, proposed)) < 0.75 * min(score for _, score in known)


@pytest.mark.parametrize("algorithm", ["cmaes", "evolution", "pso"])
def test_populations_beat_random_search_on_a_quadratic(algorithm: str) -> None:
    random = mean(best("random", seed, 128) for seed in range(5))
    assert mean(best(algorithm, seed, 128) for seed in range(5)) < 0.6 * random


@pytest.mark.parametrize("algorithm", ["tpe", "evolution", "cmaes"])
def test_the_best_component_is_found(algorithm: str) -> None:
    found = [trial.optimizer.name for trial, _ in sweep(*setup(CONDITIONAL, 0, algorithm, 100), mixed)]
    assert found[60:].count("adam") > 20


def best(algorithm: str, seed: int, trials: int, **search: Any) -> float:
    space, job = setup(NUMBERS, seed, algorithm, trials, **search)
    return min(value(space, trial) for trial, _ in sweep(space, job, valley))
