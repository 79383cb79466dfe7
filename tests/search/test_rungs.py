"""Rungs against Ray Tune's own scheduler."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.search.rungs import rungs


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
