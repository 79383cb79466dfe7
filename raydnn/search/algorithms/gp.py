"""Bayesian optimization with a Gaussian process, by Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from raydnn.search.algorithms import random
from raydnn.search.algorithms.optuna_study import new_study, quiet
from raydnn.search.algorithms.searcher import Evaluation, inside, integer_seed
from raydnn.space.domains.domain import Choice
from raydnn.space.space import Assignment, Parameter, Space
from raydnn.spec.algorithm import Gp

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ABSENT = 0.5
"""Coordinate of a parameter that a trial lacks, as `Space.to_unit` has it."""


class GpSearcher:
    """Optuna's GPSampler over the whole unit cube of the space.

    Optuna's process knows only parameters that every trial has, and would draw all others at random. So each
    trial is given as a point of the cube with a coordinate for every parameter of the space, the middle where
    the parameter is absent: trials that lack one cannot differ in it. Whole numbers are the middles of their
    cells in the cube. The sampler is made anew for every generation, so that nothing but the results decides.
    """

    def __init__(self, space: Space, seed: int, spec: Gp) -> None:
        """Begin with the first trials of random search."""
        self._space, self._seed, self._spec = space, seed, spec
        self._asked = 0
        self._evaluations: list[Evaluation] = []
        self._searched = [(i, p) for i, p in enumerate(space.parameters) if p.domain.size() != 1]
        self._distributions = {parameter.key: _distribution(parameter) for _, parameter in self._searched}

    @property
    def batch(self) -> int:
        """The batch; at first, all that is drawn at random."""
        return self._spec.batch if self._evaluations else self._spec.startup

    def ask(self, count: int) -> list[Assignment]:
        """Propose the points of greatest expected improvement, one after the other."""
        numbers = range(self._asked, self._asked + count)
        self._asked += count
        if not self._evaluations:
            return [self._space.from_unit(next(random.points(self._space, self._seed, n))) for n in numbers]
        with quiet():
            return self._propose(count)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Note all results."""
        self._evaluations += evaluations

    def _propose(self, count: int) -> list[Assignment]:
        from optuna.samplers import GPSampler
        from optuna.trial import TrialState, create_trial

        sampler = GPSampler(seed=integer_seed(self._seed, self._asked), n_startup_trials=1)
        study = new_study(sampler)
        for evaluation, score in zip(self._evaluations, capped_scores(self._evaluations), strict=True):
            params = self._params(evaluation.assignment)
            study.add_trial(create_trial(params=params, distributions=self._distributions, value=score))
        proposed = []
        for _ in range(count):
            trial = study.ask(self._distributions)
            assignment = self._space.from_unit(self._point(trial.params))
            proposed.append(assignment)
            # What the process takes it for must have its absent parameters in the middle, too.
            study.tell(trial, state=TrialState.FAIL)
            running = create_trial(
                state=TrialState.RUNNING, params=self._params(assignment), distributions=self._distributions
            )
            study.add_trial(running)
        return proposed

    def _params(self, assignment: Assignment) -> dict[str, Any]:
        """An assignment as Optuna's parameters."""
        point = self._space.to_unit(assignment)
        return {parameter.key: _coordinate(parameter, point[i]) for i, parameter in self._searched}

    def _point(self, params: Mapping[str, Any]) -> list[float]:
        """Optuna's parameters as a point of the cube."""
        point = np.full(len(self._space.parameters), ABSENT)
        for i, parameter in self._searched:
            cells = _options(parameter)
            point[i] = (params[parameter.key] + 0.5) / cells if cells else params[parameter.key]
        return inside(point)


def _options(parameter: Parameter) -> int:
    """Number of options of a choice; 0 for a range."""
    return len(parameter.domain.options) if isinstance(parameter.domain, Choice) else 0


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    options = _options(parameter)
    return CategoricalDistribution(range(options)) if options else FloatDistribution(0.0, 1.0)


def _coordinate(parameter: Parameter, u: float) -> float:
    """A coordinate as Optuna takes it: a choice by the number of its cell, all else as it is."""
    options = _options(parameter)
    return int(u * options) if options else u


def capped_scores(evaluations: Sequence[Evaluation]) -> list[float]:
    """Each evaluation's score, but none above the median by more than the median is above the best.

    A learning rate too high by little gives losses of any size, beside which all others would look the same.
    What diverged or failed gets the cap.
    """
    known = [evaluation.score for evaluation in evaluations if evaluation.score is not None]
    cap = 2 * median(known) - min(known) if known else 0.0
    return [cap if evaluation.score is None else min(evaluation.score, cap) for evaluation in evaluations]
