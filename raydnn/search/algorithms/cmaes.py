"""CMA-ES over the numerical axes, with a categorical distribution for the choices: CatCMA with margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raydnn.search.algorithms.searcher import Evaluation, inside, integer_seed
from raydnn.space.domains.domain import Domain
from raydnn.space.domains.ordered import ordered
from raydnn.space.space import Assignment, Space
from raydnn.spec.algorithm import CmaEs

FEW = 64
"""Whole numbers and steps are integers for the margin if they have at most so many values, else continuous."""


class CmaEsSearcher:
    """The `cmaes` package's CatCMAwM in the unit cube.

    A coordinate whose parameter a trial's components lack is drawn all the same and has no influence: selection
    leaves its distribution where it is on average. Results are told as ranks, which is all that CMA-ES uses, so
    that diverged trials and outliers do not matter.
    """

    def __init__(self, space: Space, seed: int, spec: CmaEs) -> None:
        """Begin in the middle of the space."""
        from cmaes import CatCMAwM

        self._space = space
        searched = {i: p.domain for i, p in enumerate(space.parameters) if p.domain.size() != 1}
        self._choices = [i for i, domain in searched.items() if not ordered(domain)]
        self._integers = [i for i, domain in searched.items() if ordered(domain) and _few(domain)]
        self._continuous = [i for i, domain in searched.items() if ordered(domain) and not _few(domain)]
        numbers = len(self._continuous) + len(self._integers)
        self._optimizer = CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._continuous) or None,
            z_space=[_cells(searched[i]) for i in self._integers] or None,
            c_space=[len(_cells(searched[i])) for i in self._choices] or None,
            population_size=spec.population,
            mean=np.full(numbers, 0.5),
            sigma=spec.sigma,
            cov=np.eye(numbers),
            seed=integer_seed(seed, 0),
        )
        self._asked = 0
        self._generation: dict[int, Any] = {}

    @property
    def batch(self) -> int:
        """The population."""
        return int(self._optimizer.population_size)

    def ask(self, count: int) -> list[Assignment]:
        """Draw from the distribution."""
        solutions = [self._optimizer.ask() for _ in range(count)]
        self._generation = {self._asked + position: solution for position, solution in enumerate(solutions)}
        self._asked += count
        return [self._space.from_unit(inside(self._point(solution))) for solution in solutions]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Move the distribution to the better half of its draws; other trials are none of them."""
        drawn = sorted(
            (evaluation for evaluation in evaluations if evaluation.asked in self._generation),
            key=lambda evaluation: evaluation.rank,
        )
        if len(drawn) == self.batch and drawn[0].rank < drawn[-1].rank:
            told = [(self._generation[e.asked], float(k)) for k, e in enumerate(drawn) if e.asked is not None]
            self._optimizer.tell(told)

    def _point(self, solution: Any) -> np.ndarray:
        point = np.full(len(self._space.parameters), 0.5)
        if self._continuous:
            point[self._continuous] = solution.x
        if self._integers:
            point[self._integers] = solution.z
        for i, one_hot in zip(self._choices, () if solution.c is None else solution.c, strict=True):
            point[i] = _cells(self._space.parameters[i].domain)[int(np.argmax(one_hot))]
        return point


def _few(domain: Domain) -> bool:
    size = domain.size()
    return size is not None and size <= FEW


def _cells(domain: Domain) -> list[float]:
    """Where in the unit interval each value has its middle."""
    return [domain.to_unit(value) for value in domain.values()]
