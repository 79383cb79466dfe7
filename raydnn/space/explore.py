"""Exploring: how a trial that copies another changes the configuration it copied, and what it may not change."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import singledispatch
from random import Random
from typing import Any

from raydnn.space.conditional import Assignment, Space
from raydnn.space.domains.domain import (
    Choice,
    Domain,
    LogRandInt,
    LogUniform,
    OneMinus,
    QUniform,
    RandInt,
    Uniform,
)
from raydnn.space.domains.normal import Normal
from raydnn.space.domains.syntax import Value

_NETWORK = "copied weights belong to the network in which they were trained"
_TOGETHER = "the trials of a population are trained in the same steps and compared after the same epochs"

LASTING: Mapping[str, str | None] = {
    "seed": None,  # each trial keeps its own
    "data": "copied weights belong to the data on which they were trained",
    "model": _NETWORK,
    "activation": _NETWORK,
    "init": "it has no effect after the start",
    "normalization": _NETWORK,
    "regularization": None,
    "output": _NETWORK,
    "loss": "copied weights, and the results by which they are chosen, belong to one loss",
    "optimizer": None,
    "optimizer.name": "what one optimizer remembers of the gradients is of no use to another",
    "schedule": None,
    "train": _TOGETHER,
    "train.augmentation": None,
    "train.class_weights": None,
    "train.clip": None,
}
"""Part of a training → why it lasts when a trial copies another's state; None: it may change. The longest one counts.

What may change has no part in the shapes of a network or of what its optimizer remembers.
"""


def lasts(path: str) -> str | None:
    """Why a field cannot change when a trial copies another's state; None if it can."""
    parts = path.split(".")
    above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return LASTING[next(part for part in above if part in LASTING)]


def explore(
    space: Space, copied: Mapping[str, Value], resample: float, factors: Sequence[float], rng: Random
) -> Assignment:
    """Change a configuration as Ray Tune's PopulationBasedTraining does, inside the space.

    Args:
        space: The space; what it gives no choice is left as it is.
        copied: The configuration: the assignment of the space.
        resample: Chance that a value is drawn anew instead of being changed.
        factors: What a number may be multiplied by.
        rng: Drawn from in the order of Ray's class: for each parameter, whether it is drawn anew, and to what.

    Returns:
        The changed configuration, without a seed. A parameter that only a changed choice brings is drawn.
    """
    explored: Assignment = {}
    for parameter in space.parameters:
        domain = space.domain(parameter, explored)
        if domain is None or parameter.path == "seed":
            continue
        if domain.size() == 1:
            value = domain.values()[0]
        elif not parameter.active(copied):
            value = domain.from_unit(rng.random())
        else:
            value = _changed(domain, copied[parameter.path], resample, factors, rng)
        explored[parameter.path] = value
    return explored


def _changed(domain: Domain, value: Value, resample: float, factors: Sequence[float], rng: Random) -> Value:
    anew = rng.random() < resample
    if not isinstance(domain, Choice):
        return domain.from_unit(rng.random()) if anew else scaled(domain, value, rng.choice(factors))
    if anew or value not in domain.options:
        return rng.choice(domain.options)
    moved = domain.options.index(value) + rng.choice([-1, 1])
    return domain.options[min(max(moved, 0), len(domain.options) - 1)]


@singledispatch
def scaled(domain: Any, value: Any, factor: float) -> Any:
    """A number of a domain times a factor, as near as the domain allows; 1 − x of `one_minus` is multiplied.

    Where the domain has steps, at least one is made.
    """
    raise TypeError(f"{domain} has no scale")


@scaled.register
def _(domain: Uniform | LogUniform, value: float, factor: float) -> float:
    return float(min(max(value * factor, domain.a), math.nextafter(domain.b, domain.a)))


@scaled.register
def _(domain: OneMinus, value: float, factor: float) -> float:
    return max(domain.turned(scaled(domain.inside, 1 - value, factor)), domain.from_unit(0.0))


@scaled.register
def _(domain: Normal, value: float, factor: float) -> float:
    return min(max(value * factor, domain.lowest), domain.highest)


@scaled.register
def _(domain: RandInt | LogRandInt | QUniform, value: float, factor: float) -> float:
    steps: Sequence[float] = domain.values()
    aim = value * factor
    above = min(bisect_left(steps, aim), len(steps) - 1)
    nearest = above - 1 if above > 0 and aim - steps[above - 1] <= steps[above] - aim else above
    if steps[nearest] == value and aim != value:
        nearest = min(max(nearest + (1 if aim > value else -1), 0), len(steps) - 1)
    return steps[nearest]
