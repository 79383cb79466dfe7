"""Schedulers: which trials of a sweep are stopped before they have had their whole budget, in epochs.

Budgets count a trial's epochs from its first one, however often its training was interrupted.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from raydnn.spec.base import Component, parameter


class NoScheduler(Component):
    """Every trial is trained for all its epochs."""

    name: Literal["none"] = "none"


class Stopping(Component):
    """What every scheduler that stops trials has."""

    max_epochs: int | None = parameter(
        None, "a trial's whole budget; it replaces train.epochs; null: train.epochs", ge=1
    )


class Asha(Stopping):
    """Asynchronous successive halving: at each rung only the best 1/eta of the trials seen so far go on."""

    formula: ClassVar[str] = (
        "rungs of bracket s at min_epochs · eta^(s + k) epochs, k = 0, 1, ..., below max_epochs; a trial is in "
        "bracket s with a chance that grows with e to the number of its rungs"
    )
    source: ClassVar[str] = "Li et al. 2020, arXiv:1810.05934; ray.tune.schedulers.ASHAScheduler"

    name: Literal["asha"] = "asha"
    min_epochs: int = parameter(1, "epochs every trial is trained before it can be stopped", ge=1)
    eta: float = parameter(3.0, "one in eta goes on at each rung", gt=1)
    brackets: int = parameter(1, "brackets; each later one begins to stop trials a rung later", ge=1)


class Hyperband(Stopping):
    """Hyperband: brackets of successive halving, from many trials with few epochs to few with all of them.

    A bracket's trials wait at a rung until all of them are there; then the best go on. The trials of a sweep, or
    of a generation of an algorithm that learns, fill the brackets in the order of their numbers, s = 0 first.
    """

    formula: ClassVar[str] = (
        "S = round(log max_epochs / log eta); bracket s = 0, ..., S: ⌈(S + 1) / (s + 1) · eta^s⌉ trials, rungs at "
        "max_epochs · eta^(k − s) epochs, k = 0, ..., s − 1; one in eta goes on at each"
    )
    source: ClassVar[str] = "Li et al. 2018, arXiv:1603.06560; ray.tune.schedulers.HyperBandScheduler"

    name: Literal["hyperband"] = "hyperband"
    eta: float = parameter(3.0, "one in eta goes on at each rung", gt=1)


class Bohb(Stopping):
    """BOHB: Hyperband whose brackets are proposed by algorithm tpe, one bracket at a time, the largest first.

    The densities are those of the results at the largest budget that has enough of them; before there is one, and
    for a share of the trials ever after, the space is drawn at random.
    """

    formula: ClassVar[str] = (
        "brackets as in hyperband, s = S first; the model's budget: the largest with `enough` results"
    )
    source: ClassVar[str] = "Falkner et al. 2018, arXiv:1807.01774; ray.tune.schedulers.HyperBandForBOHB"

    name: Literal["bohb"] = "bohb"
    eta: float = parameter(3.0, "one in eta goes on at each rung", gt=1)
    enough: int | None = parameter(
        None, "results a budget needs; null: 3 more than there are parameters in the space", ge=2
    )
    random_share: float = parameter(1 / 3, "chance that a trial is drawn at random", ge=0, le=1)


class Median(Stopping):
    """Median stopping: a trial stops whose best result so far is worse than the median of the others' means.

    The means are those of the results from `min_epochs` to the epoch of the decision, of the trials that were
    trained as long.
    """

    formula: ClassVar[str] = "stop at epoch t if best(1..t) is worse than median of mean(min_epochs..t)"
    source: ClassVar[str] = "Golovin et al. 2017 (Vizier); ray.tune.schedulers.MedianStoppingRule"

    name: Literal["median"] = "median"
    min_epochs: int = parameter(1, "epochs every trial is trained before it can be stopped", ge=1)
    min_trials: int = parameter(3, "trials a median needs; with fewer every trial goes on", ge=1)
