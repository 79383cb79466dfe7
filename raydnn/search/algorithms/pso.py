"""Particle swarm optimization over the numerical axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raydnn.search.algorithms import random
from raydnn.search.algorithms.searcher import Evaluation, inside, stream
from raydnn.space.space import Assignment, Space
from raydnn.spec.algorithm import Pso

WORST = (3, 0, 0.0)
"""The rank of what was never evaluated, after every evaluation's."""


@dataclass
class _Best:
    rank: tuple[int, int, float]
    point: np.ndarray


class PsoSearcher:
    """A swarm in the unit cube, each particle drawn to its own best point and to the swarm's.

    Kennedy & Eberhart's swarm with Shi & Eberhart's inertia. A particle that hits a wall of the cube stops
    there in that coordinate. Logarithmic and whole-number ranges are part of the cube.
    """

    def __init__(self, space: Space, seed: int, spec: Pso) -> None:
        """Begin at the first trials of random search, at rest."""
        self._space, self._seed, self._spec = space, seed, spec
        self._asked = 0
        numbers = range(spec.population)
        self._points = np.array([next(random.points(space, seed, number)) for number in numbers])
        self._speeds = np.zeros_like(self._points)
        self._own = [_Best(WORST, point) for point in self._points]
        self._swarm = _Best(WORST, self._points[0])
        self._flying: dict[int, int] = {}
        """Which proposal of the last generation is which particle."""

    @property
    def batch(self) -> int:
        """One proposal a particle."""
        return self._spec.population

    def ask(self, count: int) -> list[Assignment]:
        """Move the particles and propose where they are."""
        if self._asked:
            self._move(stream(self._seed, self._asked))
        self._flying = {self._asked + particle: particle for particle in range(count)}
        self._asked += count
        return [self._space.from_unit(inside(point)) for point in self._points[:count]]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Note the best points of each particle and of the swarm."""
        for evaluation in evaluations:
            if evaluation.asked in self._flying:
                particle = self._flying[evaluation.asked]
                found = _Best(evaluation.rank, self._points[particle].copy())
                self._own[particle] = min(self._own[particle], found, key=lambda best: best.rank)
            else:
                found = _Best(evaluation.rank, np.array(self._space.to_unit(evaluation.assignment)))
            self._swarm = min(self._swarm, found, key=lambda best: best.rank)

    def _move(self, rng: np.random.Generator) -> None:
        spec = self._spec
        own = np.array([best.point for best in self._own])
        to_own, to_swarm = rng.random((2, *self._points.shape))
        self._speeds = (
            spec.inertia * self._speeds
            + spec.cognitive * to_own * (own - self._points)
            + spec.social * to_swarm * (self._swarm.point - self._points)
        ).clip(-spec.max_speed, spec.max_speed)
        flown = self._points + self._speeds
        self._points = flown.clip(0.0, 1.0)
        self._speeds = np.where(flown == self._points, self._speeds, 0.0)
