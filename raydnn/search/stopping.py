"""What each scheduler would stop, given whole learning curves: Ray Tune's decisions without Ray.

In a sweep Ray's own classes decide. Here the same rules are replayed over curves that are known to their ends, to
judge a scheduler by a sweep that was recorded without one, and to plan a sweep that has not begun.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from statistics import median
from typing import Any

import numpy as np

from raydnn.search.rungs import Bracket, hyperband_brackets, rungs
from raydnn.spec.scheduler import Asha, Bohb, Hyperband, Median, NoScheduler

Curves = Mapping[int, Sequence[float]]
"""Trial → its score after each epoch, less being better; trials in the order in which a rung's results are judged."""
Stops = dict[int, int]
"""Trial → the epoch after which it is stopped; a trial that is not stopped is not in it."""


def no_stops(_spec: NoScheduler, _curves: Curves, _max_epochs: int) -> Stops:
    """Nothing is stopped."""
    return {}


def asha_stops(spec: Asha, curves: Curves, max_epochs: int) -> Stops:
    """Stop at a rung whose score is above the 1/eta quantile of those that reached the rung before.

    With several brackets the trials take them in turn, by the chances that Ray's class gives them.
    """
    stops: Stops = {}
    for members, epochs in _asha_brackets(spec, list(curves), max_epochs):
        for epoch in epochs:
            recorded: list[float] = []
            for trial in members:
                if trial in stops or len(curves[trial]) < epoch:
                    continue
                reward = -curves[trial][epoch - 1]
                if recorded and reward < np.percentile(recorded, (1 - 1 / spec.eta) * 100):
                    stops[trial] = epoch
                recorded.append(reward)
    return stops


def hyperband_stops(spec: Hyperband, curves: Curves, max_epochs: int) -> Stops:
    """Fill the brackets in the order of the trials' numbers; at a rung all but the best of a bracket stop."""
    return _halved(hyperband_brackets(max_epochs, spec.eta), spec.eta, curves)


def bohb_stops(spec: Bohb, curves: Curves, max_epochs: int) -> Stops:
    """As in hyperband, but the bracket with the most trials comes first."""
    return _halved(hyperband_brackets(max_epochs, spec.eta)[::-1], spec.eta, curves)


def median_stops(spec: Median, curves: Curves, max_epochs: int) -> Stops:
    """Stop whose best score so far is above the median of the means of the others that were trained as long."""
    stops: Stops = {}
    for epoch in range(spec.min_epochs, max_epochs):
        means: list[float] = []
        for trial, curve in curves.items():
            if trial in stops or len(curve) < epoch:
                continue
            if len(means) >= spec.min_trials and min(curve[:epoch]) > median(means):
                stops[trial] = epoch
            mean = float(np.mean(curve[spec.min_epochs - 1 : epoch]))
            if np.isfinite(mean):
                insort(means, mean)
    return stops


RULES: dict[str, Callable[[Any, Curves, int], Stops]] = {
    "none": no_stops,
    "asha": asha_stops,
    "hyperband": hyperband_stops,
    "bohb": bohb_stops,
    "median": median_stops,
}
"""Name → function from the scheduler's spec, the curves and the whole budget in epochs to what it stops."""


def _asha_brackets(
    spec: Asha, trials: Sequence[int], max_epochs: int
) -> Iterator[tuple[list[int], tuple[int, ...]]]:
    epochs = [rungs(spec.min_epochs, max_epochs, spec.eta, bracket) for bracket in range(spec.brackets)]
    chances = np.exp([len(each) - len(epochs[0]) for each in epochs])
    ends = np.cumsum(chances / chances.sum())
    # The golden ratio's multiples fill [0, 1) evenly, so that every bracket soon has its share.
    drawn = [int(np.searchsorted(ends, 0.618034 * place % 1.0, side="right")) for place in range(len(trials))]
    for bracket, each in enumerate(epochs):
        yield [trial for trial, own in zip(trials, drawn, strict=True) if own == bracket], each


def _halved(brackets: Sequence[Bracket], eta: float, curves: Curves) -> Stops:
    stops: Stops = {}
    waiting = sorted(curves)
    while waiting:
        for bracket in brackets:
            members, waiting = waiting[: bracket.trials], waiting[bracket.trials :]
            places = bracket.trials
            for epoch in bracket.rungs:
                places = ceil(places / eta)
                members = [trial for trial in members if len(curves[trial]) >= epoch]
                ranked = sorted(members, key=lambda trial: -curves[trial][epoch - 1])
                stops |= dict.fromkeys(ranked[:-places], epoch)
                members = [trial for trial in members if trial in ranked[-places:]]
    return stops
