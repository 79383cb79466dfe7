"""Sweeps that begin with given configurations, and sweeps that are extended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.search.algorithms.registry import chained, generations
from raydnn.search.generations import Generations
from raydnn.search.history import Result
from raydnn.search.segments import Segment
from raydnn.space.space import Assignment, Space, build_space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.trial import TrialSpec

SPACE = {
    "optimizer": ["sgd", "adam"],
    "optimizer.sgd.momentum": "uniform(0, 0.9)",
    "optimizer.adam.beta2": "one_minus(loguniform(1e-4, 1e-1))",
    "optimizer.*.lr": "loguniform(1e-4, 1)",
    "regularization.l2": "lognormal(-9, 2)",
    "init": ["auto", "he_normal"],
    "train.batch_size": [16, 32],
}
FINITE = {"optimizer": ["sgd", "adam"], "optimizer.sgd.momentum": [0, 0.5, 0.9], "seed": [0, 1, 2, 3]}
TPE = {"name": "tpe", "startup": 5, "batch": 4}
ASHA = {"name": "asha", "max_epochs": 9}


def segment(trials: int, total: int, start: Sequence[Assignment] = (), **given: Any) -> Segment:
    fields = {"name": "job", "seed": 3, "data": "digits", "optimizer": "sgd", "train": given.pop("train", {})}
    search = {"space": SPACE, "trials": total} | given
    job = Job.model_validate(fields | {"search": search})
    return Segment(spanned(json.dumps(search["space"])), job, trials, tuple(start))


@cache
def spanned(space: str) -> Space:
    fields = {"name": "job", "data": "digits", "optimizer": "sgd"}
    search = {"space": json.loads(space), "trials": 1}
    return build_space(Job.model_validate(fields | {"search": search}), Positions({}))


def one(total: int, **given: Any) -> list[Segment]:
    return [segment(total, total, **given)]


def several(counts: Sequence[int], **given: Any) -> list[Segment]:
    return [segment(count, sum(counts[: k + 1]), **given) for k, count in enumerate(counts)]


def result(trial: TrialSpec) -> Result:
    """Small learning rates are best; large ones diverge, those between are stopped."""
    lr = float(trial.parameters()["optimizer.lr"])
    if lr > 0.5:
        return Result(None, 1, False)
    return Result(lr, trial.train.epochs, True) if lr < 0.05 else Result(lr, 1, False)


def swept(source: Generations | Sequence[Segment]) -> list[list[TrialSpec]]:
    """The generations of a sweep without training."""
    if isinstance(source, Sequence):
        source = chained(source)
    found: list[list[TrialSpec]] = []
    number = 0
    while trials := source.propose():
        source.learn({number + k: result(trial) for k, trial in enumerate(trials)})
        found.append(trials)
        number += len(trials)
    assert source.over
    assert source.expected == number
    return found


def flat(found: Sequence[Sequence[TrialSpec]]) -> list[TrialSpec]:
    return [trial for generation in found for trial in generation]


def configurations(trials: Sequence[TrialSpec]) -> set[tuple[str, int]]:
    return {(trial.config_hash, trial.seed) for trial in trials}


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["random", "sobol", "tpe"]), st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_segments_propose_distinct_configurations_and_random_ones_as_one_sweep_would(
    algorithm: str, counts: list[int]
) -> None:
    given_algorithm = TPE if algorithm == "tpe" else algorithm
    found = flat(swept(several(counts, algorithm=given_algorithm)))
    assert len(configurations(found)) == len(found) == sum(counts)
    if algorithm != "tpe":
        assert found == flat(swept(one(sum(counts), algorithm=algorithm)))


@pytest.mark.parametrize("algorithm", ["random", "sobol", "grid"])
def test_a_finite_space_is_extended_to_its_end_and_no_further(algorithm: str) -> None:
    found = flat(swept(several([5, 7, 4], algorithm=algorithm, space=FINITE)))
    assert found == flat(swept(one(16, algorithm=algorithm, space=FINITE)))
    assert len(configurations(found)) == 16
    chain = chained([*several([5, 7, 4], algorithm=algorithm, space=FINITE), segment(3, 19)])
    assert len(flat(swept(chain))) == 19


def test_a_generation_ends_with_its_segment_and_the_searcher_goes_on() -> None:
    sizes = [len(trials) for trials in swept(several([8, 6], algorithm=TPE))]
    assert sizes == [5, 3, 4, 2]
    whole = swept(one(14, algorithm=TPE))
    parts = swept(several([8, 6], algorithm=TPE))
    assert parts[0] == whole[0]
    assert parts[1] == whole[1][:3]


@pytest.mark.parametrize("later", [{"algorithm": TPE}, {"algorithm": "random"}, {"algorithm": "sobol"}])
def test_earlier_segments_propose_what_they_had_proposed(later: dict[str, Any]) -> None:
    first = one(10, algorithm=TPE)
    narrow = SPACE | {"optimizer": ["adam"]}
    narrow.pop("optimizer.sgd.momentum")
    found = flat(swept([*first, segment(8, 18, space=narrow, **later)]))
    assert found[:10] == flat(swept(first))
    assert all(trial.optimizer.name == "adam" for trial in found[10:])
    assert len(configurations(found)) == 18


def test_a_new_searcher_knows_what_lies_in_its_space() -> None:
    """After random search TPE draws nothing at random any more: it proposes its own batch at once."""
    sizes = [len(trials) for trials in swept([*one(20), segment(8, 28, algorithm=TPE)])]
    assert sizes == [20, 4, 4]
    elsewhere = SPACE | {"activation": ["tanh"]}
    sizes = [len(trials) for trials in swept([*one(20), segment(8, 28, algorithm=TPE, space=elsewhere)])]
    assert sizes == [20, 5, 3]


@pytest.mark.parametrize("algorithm", ["random", TPE])
def test_with_more_epochs_finished_trials_come_first_the_best_first(algorithm: Any) -> None:
    first = one(12, algorithm=algorithm, train={"epochs": 4})
    found = flat(swept([*first, segment(12, 24, algorithm=algorithm, train={"epochs": 7})]))
    finished = sorted(
        (t for t in found[:12] if result(t).finished), key=lambda t: float(result(t).value or 0)
    )
    assert 2 < len(finished) < 12
    again = found[12 : 12 + len(finished)]
    assert [t.parameters()["optimizer.lr"] for t in again] == [
        t.parameters()["optimizer.lr"] for t in finished
    ]
    assert {t.train.epochs for t in found[12:]} == {7}
    assert len(configurations(found)) == 24


def test_the_scheduler_is_counted_from_where_it_was_last_changed() -> None:
    chain = chained(
        [
            segment(3, 3, scheduler=ASHA),
            segment(3, 6, scheduler=ASHA),
            segment(3, 9, scheduler=ASHA | {"max_epochs": 27}),
            segment(3, 12, scheduler=ASHA | {"max_epochs": 27}, algorithm="sobol"),
            segment(3, 15, train={"epochs": 40}),
        ]
    )
    found = []
    while trials := chain.propose():
        found.append(chain.stage.scheduler)
        chain.learn({k: Result(1.0, 1, False) for k in range(3 * len(found) - 3, 3 * len(found))})
        assert len(trials) == 3
    assert found == [0, 0, 2, 2, 4]


def test_every_segment_confirms_the_best_that_were_not_confirmed_before() -> None:
    seeds = {"repeats": 2, "confirm": 2, "confirm_seeds": 3}
    found = swept(several([6, 4], algorithm=TPE, **seeds))
    assert [len(trials) for trials in found[:3]] == [10, 2, 6]
    assert sum(len(trials) for trials in found[3:]) - 8 in (0, 3, 6)
    assert len(configurations(flat(found))) == len(flat(found))
    assert len({trial.config_hash for trial in flat(found)}) == 10


def starts() -> list[Assignment]:
    values: Assignment = {
        "optimizer.name": "adam",
        "init.name": "he_normal",
        "optimizer.beta2": 0.99,
        "optimizer.lr": 0.001,
        "regularization.l2": 1e-4,
        "train.batch_size": 16,
    }
    same = values | {"init.name": "auto"}
    return [values, same, values | {"optimizer.lr": 0.002}]


@pytest.mark.parametrize("algorithm", ["random", "sobol", "grid", "tpe", "cmaes", "evolution"])
def test_starts_come_first_once_and_count_as_trials(algorithm: str) -> None:
    space = SPACE
    given = starts()
    if algorithm == "grid":
        space = {"optimizer.lr": [0.1, 0.01, 0.001], "train.batch_size": [16, 32]}
        given = [{"optimizer.lr": 0.01, "train.batch_size": 32}] * 2
    begun = segment(6, 6, algorithm=algorithm, space=space)
    found = flat(swept(generations(begun.space, begun.job, given)))
    expected = list(dict.fromkeys(make_trial(begun.job, each).config_json for each in given))
    assert [trial.config_json for trial in found[: len(expected)]] == expected
    assert len(configurations(found)) == len(found) == 6


def test_starts_leave_the_algorithms_own_proposals_as_they_are() -> None:
    begun = segment(9, 9)
    with_starts = flat(swept(generations(begun.space, begun.job, starts())))
    assert with_starts[2:] == flat(swept(one(9)))[:7]


def test_starts_may_fill_a_sweep() -> None:
    begun = segment(1, 1, algorithm=TPE)
    assert len(flat(swept(generations(begun.space, begun.job, starts())))) == 1


def test_starts_of_a_learner_belong_to_its_first_generation() -> None:
    begun = segment(12, 12, algorithm=TPE)
    found = swept(generations(begun.space, begun.job, starts()))
    assert [len(trials) for trials in found] == [2 + 5, 4, 1]
