"""Seeds: which trials stand for a configuration, what the searcher learns of them, and which are confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from raydnn.search.history import Result
from raydnn.search.seeding import Seeded, together
from raydnn.search.stages import SEARCH
from raydnn.spec.search import Search
from raydnn.spec.trial import TrialSpec

LRS = (0.1, 0.2, 0.3, 0.4)


def trial(lr: float) -> TrialSpec:
    return TrialSpec.model_validate({"data": "digits", "optimizer": {"name": "sgd", "lr": lr}, "seed": 7})


class Scripted:
    """Segments of generations of configurations, told by their learning rates; notes what it is told."""

    by_rung = False
    stage = SEARCH

    def __init__(self, *segments: Sequence[Sequence[float]]) -> None:
        self.segments = [list(segment) for segment in segments]
        self.told: list[Mapping[int, Result]] = []

    @property
    def over(self) -> bool:
        return self.segment_over and len(self.segments) == 1

    @property
    def segment_over(self) -> bool:
        return not self.segments[0]

    @property
    def expected(self) -> int:
        return 4

    def propose(self) -> list[TrialSpec]:
        if self.segment_over:
            del self.segments[0]
        return [trial(lr) for lr in self.segments[0].pop(0)]

    def learn(self, results: Mapping[int, Result]) -> None:
        self.told.append(results)


def search(**fields: Any) -> Search:
    given = {"trials": 4, "confirm_seeds": 2, "space": {"optimizer.lr": "uniform(0, 1)"}}
    return Search.model_validate(given | fields)


def told(trials: Sequence[TrialSpec]) -> list[tuple[float, int]]:
    return [(each.optimizer.lr, each.seed) for each in trials]


def finished(first: int, values: Sequence[float | None]) -> dict[int, Result]:
    return {first + place: Result(value, 9, True) for place, value in enumerate(values)}


def test_a_configuration_has_its_seeds_side_by_side_and_is_told_as_one() -> None:
    source = Scripted([[0.1, 0.2], [0.3]])
    seeds = Seeded(source, search(repeats=3))
    assert seeds.expected == 12
    assert told(seeds.propose()) == [(lr, seed) for lr in (0.1, 0.2) for seed in (7, 8, 9)]
    assert (seeds.stage.name, seeds.stage.seeds, seeds.stage.judged) == ("search", 3, True)
    seeds.learn(finished(0, [1.0, 2.0, 6.0, 4.0, None, 1.0]))
    assert {number: result.value for number, result in source.told[0].items()} == {0: 3.0, 1: None}
    assert told(seeds.propose()) == [(0.3, 7), (0.3, 8), (0.3, 9)]
    assert seeds.over
    assert seeds.propose() == []


@pytest.mark.parametrize(("mode", "best"), [("min", [0.3, 0.1]), ("max", [0.4, 0.1])])
def test_the_best_are_trained_again_with_seeds_that_follow(mode: str, best: list[float]) -> None:
    seeds = Seeded(Scripted([LRS]), search(repeats=2, confirm=2, mode=mode))
    assert seeds.expected == 4 * 2 + 2 * 2
    seeds.propose()
    assert not seeds.over
    # The second one is the best by either, had it not failed once.
    seeds.learn(finished(0, [0.5, 0.5, {"min": 0.0, "max": 1.0}[mode], None, 0.1, 0.3, 0.9, 0.9]))
    assert told(seeds.propose()) == [(lr, seed) for lr in best for seed in (9, 10)]
    assert (seeds.stage.name, seeds.stage.seeds, seeds.stage.judged) == ("confirm", 2, False)
    assert seeds.over
    assert seeds.expected == 12


def test_no_more_are_confirmed_than_came_to_an_end() -> None:
    seeds = Seeded(Scripted([LRS]), search(confirm=3))
    seeds.propose()
    seeds.learn(finished(0, [None, 0.5, None, None]))
    assert told(seeds.propose()) == [(0.2, 8), (0.2, 9)]
    assert seeds.expected == 4 + 2
    nothing = Seeded(Scripted([LRS]), search(confirm=3))
    nothing.propose()
    nothing.learn(finished(0, [None] * 4))
    assert nothing.propose() == []
    assert nothing.over


def test_an_extension_confirms_what_has_become_better() -> None:
    source = Scripted([[0.1, 0.2]], [[0.3, 0.4]])
    seeds = Seeded(source, search(confirm=1))
    seeds.propose()
    seeds.learn(finished(0, [0.2, 0.1]))
    assert told(seeds.propose()) == [(0.2, 8), (0.2, 9)]
    assert not seeds.over
    seeds.learn(finished(2, [0.0, 0.0]))
    assert len(source.told) == 1
    assert told(seeds.propose()) == [(0.3, 7), (0.4, 7)]
    seeds.learn(finished(4, [0.3, 0.05]))
    assert list(source.told[1]) == [2, 3]
    assert seeds.expected == 4 + 2 * 2
    assert told(seeds.propose()) == [(0.4, 8), (0.4, 9)]
    assert seeds.over
    assert seeds.expected == 4 + 2 * 2


def test_a_result_is_the_mean_and_the_most_that_was_trained() -> None:
    at = {3: 0.4}
    several = [Result(0.2, 3, False, at), Result(0.4, 9, True)]
    mean = together(several)
    assert mean.value == pytest.approx(0.3)
    assert (mean.epochs, mean.finished, mean.at) == (9, False, at)
    assert together(several[:1]) == several[0]
    assert together([*several, Result(None, 1, False)]).value is None
