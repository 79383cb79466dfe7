"""BOHB's model: which budget it takes, and that it proposes from the results there."""

from __future__ import annotations

from typing import Any

import numpy as np

from raydnn.search.algorithms.bohb import BohbSearcher
from raydnn.search.algorithms.registry import generations
from raydnn.search.algorithms.searcher import Evaluation
from raydnn.search.history import Result
from raydnn.space.space import Space, build_space
from raydnn.spec.algorithm import Tpe
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.scheduler import Bohb

SPACE: dict[str, Any] = {
    "optimizer": ["sgd", "adam"],
    "optimizer.*.lr": "loguniform(1e-5, 1)",
    "optimizer.sgd.momentum": "uniform(0, 0.99)",
    "regularization.dropout": "uniform(0, 0.8)",
}


def job(trials: int = 40, **bohb: Any) -> Job:
    return Job.model_validate(
        {
            "name": "x",
            "data": {"name": "digits", "validation_fraction": 0.2},
            "optimizer": "sgd",
            "search": {
                "algorithm": "tpe",
                "scheduler": {"name": "bohb", "max_epochs": 9, **bohb},
                "trials": trials,
                "space": SPACE,
            },
        }
    )


def searcher(**bohb: Any) -> tuple[Space, BohbSearcher]:
    space = build_space(job(), Positions({}))
    return space, BohbSearcher(space, 0, Tpe(), Bohb(**bohb), 9)


def test_the_budget_is_the_largest_with_enough_results() -> None:
    space, bohb = searcher(enough=3)
    assignment = space.from_unit([0.5] * len(space.parameters))
    assert bohb.budget is None
    bohb.tell([Evaluation(k, assignment, 0.5, 1, False, {1: 0.5}) for k in range(2)])
    assert bohb.budget is None
    bohb.tell([Evaluation(2, assignment, None, 3, False, {1: 0.5, 3: 0.5})])
    assert bohb.budget is None  # a trial that diverged is no result
    bohb.tell([Evaluation(k, assignment, 0.5, 3, False, {1: 0.5, 3: 0.5}) for k in range(3, 5)])
    assert bohb.budget == 1
    bohb.tell([Evaluation(5, assignment, 0.5, 9, True, {3: 0.4})])
    assert bohb.budget == 3
    bohb.tell([Evaluation(k, assignment, 0.5, 9, True) for k in range(6, 8)])
    assert bohb.budget == 9


def test_by_default_enough_are_three_more_than_there_are_parameters() -> None:
    space, bohb = searcher()
    assert bohb._enough == len(space.parameters) + 3


def test_proposals_follow_the_scores_at_the_budget_and_no_others() -> None:
    """What is best after one epoch is far from what is best after three."""

    def distance(random_share: float) -> float:
        space, bohb = searcher(enough=10, random_share=random_share)
        told = []
        for k, assignment in enumerate(bohb.ask(60)):
            unit = np.array(space.to_unit(assignment))
            near = float(np.abs(unit[-1] - 0.2))
            told.append(Evaluation(k, assignment, 1.0, 3, False, {1: 1.0 - near, 3: near}))
        bohb.tell(told)
        assert bohb.budget == 3
        proposed = [space.to_unit(assignment)[-1] for assignment in bohb.ask(20)]
        return float(np.abs(np.array(proposed) - 0.2).mean())

    assert distance(0.0) < 0.15 < distance(1.0)


def test_a_generation_is_a_bracket_the_largest_first() -> None:
    space, sizes, number = build_space(job(), Positions({})), [], 0
    source = generations(space, job())
    assert source.by_rung
    while trials := source.propose():
        sizes.append(len(trials))
        results = {}
        for _ in trials:
            results[number] = Result(0.1 * number, 3, False, {1: 0.2, 3: 0.1 * number})
            number += 1
        source.learn(results)
    assert sizes == [9, 5, 3, 9, 5, 3, 6]


def test_proposals_are_reproducible() -> None:
    def proposed() -> list[str]:
        source, found, number = generations(build_space(job(), Positions({})), job()), [], 0
        while trials := source.propose():
            found += [trial.config_json for trial in trials]
            source.learn({number + k: Result(0.1 * k, 9, True, {1: 0.2, 3: 0.1}) for k in range(len(trials))})
            number += len(trials)
        return found

    assert proposed() == proposed()
    assert len(set(proposed())) == 40
