"""Rungs against Ray Tune's own scheduler."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.search.rungs import hyperband_brackets, rungs


@pytest.mark.parametrize(
    ("min_epochs", "max_epochs", "eta", "expected"),
    [
        (1, 27, 3.0, (1, 3, 9)),
        (1, 28, 3.0, (1, 3, 9, 27)),
        (2, 10, 2.0, (2, 4, 8)),
        (1, 10, 2.5, (1, 3, 7)),
        (5, 5, 3.0, ()),
        (1, 243, 3.0, (1, 3, 9, 27, 81)),
        (1, 4, 1.2, (1, 2, 3)),
    ],
)
def test_known_rungs(min_epochs: int, max_epochs: int, eta: float, expected: tuple[int, ...]) -> None:
    assert rungs(min_epochs, max_epochs, eta) == expected


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 500), st.floats(1.1, 10) | st.sampled_from([2.0, 3.0, 4.0]))
def test_rungs_are_the_milestones_of_rays_scheduler(min_epochs: int, more: int, eta: float) -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers")
    max_epochs = min_epochs + more
    scheduler = schedulers.AsyncHyperBandScheduler(
        max_t=max_epochs, grace_period=min_epochs, reduction_factor=eta, metric="loss", mode="min"
    )
    milestones = {math.ceil(milestone) for milestone, _ in scheduler._brackets[0]._rungs}
    # A trial that has had its whole budget is stopped without being judged.
    assert rungs(min_epochs, max_epochs, eta) == tuple(sorted(m for m in milestones if m < max_epochs))


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 500), st.sampled_from([1.5, 2.0, 3.0, 4.0]), st.integers(1, 4))
def test_later_brackets_begin_at_later_rungs(min_epochs: int, more: int, eta: float, brackets: int) -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers")
    scheduler = schedulers.AsyncHyperBandScheduler(
        max_t=min_epochs + more, grace_period=min_epochs, reduction_factor=eta, brackets=brackets
    )
    for s, bracket in enumerate(scheduler._brackets):
        milestones = {math.ceil(milestone) for milestone, _ in bracket._rungs}
        expected = tuple(sorted(m for m in milestones if m < min_epochs + more))
        assert rungs(min_epochs, min_epochs + more, eta, s) == expected


def test_hyperband_has_the_brackets_of_its_paper() -> None:
    brackets = hyperband_brackets(81, 3.0)
    assert [bracket.trials for bracket in brackets] == [5, 8, 15, 34, 81]
    assert brackets[-1].rungs == (1, 3, 9, 27)
    assert brackets[0].rungs == ()


@settings(deadline=None)
@given(st.integers(1, 1000), st.floats(1.2, 10) | st.sampled_from([1.5, 2.0, 3.0, 4.0]))
def test_hyperbands_brackets_are_those_of_rays_scheduler(max_epochs: int, eta: float) -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers")
    ray = schedulers.HyperBandScheduler("epoch", "loss", "min", max_epochs, eta)
    expected = []
    for s in range(ray._s_max_1):
        if ray._get_r0(s) > 0:
            bracket = ray._create_bracket(s)
            rungs: list[int] = []
            bracket._live_trials = {}
            for _ in range(s):
                rungs.append(bracket._cumul_r)
                bracket.successive_halving("loss", 1.0)
            expected.append((bracket._n0, tuple(sorted(set(rungs)))))
    found = [(bracket.trials, bracket.rungs) for bracket in hyperband_brackets(max_epochs, eta)]
    assert found == expected
    assert all(rung < max_epochs for _, rungs in found for rung in rungs)
