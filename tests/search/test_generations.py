"""Generations: what a searcher is asked and told, whatever it proposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from raydnn.search.algorithms.searcher import Evaluation
from raydnn.search.generations import BARREN, Learning
from raydnn.search.history import History, Result
from raydnn.space.space import Assignment, build_space
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions


class Scripted:
    """Proposes seeds from a list and notes what it is told."""

    def __init__(self, batch: int, seeds: Sequence[int]) -> None:
        self.batch = batch
        self.seeds = list(seeds)
        self.told: list[Evaluation] = []

    def ask(self, count: int) -> list[Assignment]:
        taken, self.seeds = self.seeds[:count], self.seeds[count:]
        return [{"seed": seed} for seed in taken]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.told += evaluations


def learning(searcher: Scripted, trials: int, **search: Any) -> Learning:
    given = {"name": "job", "data": "digits", "optimizer": "sgd"}
    search = {"space": {"seed": "randint(0, 1000)"}, "algorithm": "tpe", "trials": trials} | search
    job = Job.model_validate(given | {"search": search})
    space = build_space(job, Positions({}))
    source = Learning(space, job, searcher, History())
    source.extend(job, trials, [])
    return source


def test_generations_are_as_large_as_the_batch_and_the_last_fills_up() -> None:
    searcher = Scripted(4, range(10))
    source = learning(searcher, 10)
    sizes = []
    while trials := source.propose():
        source.learn({k: Result(float(k), 1, True) for k in range(sum(sizes), sum(sizes) + len(trials))})
        sizes.append(len(trials))
    assert sizes == [4, 4, 2]
    assert [evaluation.asked for evaluation in searcher.told] == list(range(10))
    assert [evaluation.score for evaluation in searcher.told] == list(range(10))


def test_results_must_be_known_before_the_next_generation() -> None:
    source = learning(Scripted(2, range(4)), 4)
    source.propose()
    with pytest.raises(RuntimeError, match="not known"):
        source.propose()


def test_less_is_better_to_a_searcher_whatever_the_metric() -> None:
    searcher = Scripted(3, range(3))
    source = learning(searcher, 3, metric="validation_accuracy")
    source.propose()
    source.learn({0: Result(0.9, 4, True), 1: Result(0.2, 1, False), 2: Result(None, 2, False)})
    assert [(e.score, e.epochs, e.finished) for e in searcher.told] == [
        (-0.9, 4, True),
        (-0.2, 1, False),
        (None, 2, False),
    ]


def test_a_known_configuration_is_not_trained_again_but_told_again() -> None:
    searcher = Scripted(3, [5, 6, 5, 6, 7, 5])
    source = learning(searcher, 4)
    assert [trial.seed for trial in source.propose()] == [5, 6]
    source.learn({0: Result(0.5, 1, True), 1: Result(0.6, 1, True)})
    assert [e.score for e in searcher.told] == [0.5, 0.6, 0.5]
    assert [trial.seed for trial in source.propose()] == [7]
    source.learn({2: Result(0.7, 1, True)})
    # Asked for the two that are left, it has one more.
    assert [(e.asked, e.score) for e in searcher.told[3:]] == [(3, 0.6), (4, 0.7)]


def test_a_searcher_that_repeats_itself_for_ever_is_helped_out_by_a_random_trial() -> None:
    searcher = Scripted(1, [5] * (2 * BARREN + 2))
    source = learning(searcher, 3)
    assert [trial.seed for trial in source.propose()] == [5]
    source.learn({0: Result(0.5, 1, True)})
    (trial,) = source.propose()
    assert trial.seed != 5
    assert [e.asked for e in searcher.told] == list(range(BARREN + 1))
    source.learn({1: Result(0.1, 1, True)})
    assert (searcher.told[-1].asked, searcher.told[-1].assignment) == (None, {"seed": trial.seed})
