"""Evolution: a population under selection, crossover and mutation over the conditional space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydnn.search.algorithms import random
from raydnn.search.algorithms.searcher import Evaluation, inside, stream
from raydnn.space.domains.domain import Choice
from raydnn.space.space import Assignment, Space
from raydnn.spec.algorithm import Evolution

Genome = np.ndarray
"""A point of the unit cube: one gene for each parameter of the space, also for those that are not active."""


class EvolutionSearcher:
    """A generational genetic algorithm with elitism.

    A child's genes come from two parents, each the best of a tournament, gene by gene from either with equal
    chance. A gene whose parameter the child's components lack stays dormant and is handed on: a child that gets
    the component back has a value for it that did well once.
    """

    def __init__(self, space: Space, seed: int, spec: Evolution) -> None:
        """Begin with the first trials of random search."""
        self._space, self._seed, self._spec = space, seed, spec
        self._genomes: list[Genome] = []
        self._population: list[tuple[tuple[int, int, float], Genome]] = []
        """The last generation and the elite of all before it, best first: its members are the next parents."""

    @property
    def batch(self) -> int:
        """The population."""
        return self._spec.population

    def ask(self, count: int) -> list[Assignment]:
        """The next children."""
        asked = len(self._genomes)
        if self._population:
            rng = stream(self._seed, asked)
            children = [self._child(rng) for _ in range(count)]
        else:
            numbers = range(asked, asked + count)
            children = [np.array(next(random.points(self._space, self._seed, n))) for n in numbers]
        self._genomes += children
        return [self._space.from_unit(inside(child)) for child in children]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Let the children, and the elite of their parents, be the next parents."""
        children = [(evaluation.rank, self._genome(evaluation)) for evaluation in evaluations]
        elite = self._population[: self._spec.elite]
        self._population = sorted([*elite, *children], key=lambda member: member[0])

    def _genome(self, evaluation: Evaluation) -> Genome:
        if evaluation.asked is None:
            return np.array(self._space.to_unit(evaluation.assignment))
        return self._genomes[evaluation.asked]

    def _child(self, rng: np.random.Generator) -> Genome:
        mother, father = self._parent(rng), self._parent(rng)
        crossed: Genome = np.where(rng.random(len(mother)) < 0.5, mother, father)
        child = crossed if rng.random() < self._spec.crossover else mother
        return self._mutated(child, rng)

    def _parent(self, rng: np.random.Generator) -> Genome:
        """The best of a few members of the population."""
        entrants = rng.integers(len(self._population), size=self._spec.tournament)
        return self._population[int(entrants.min())][1]

    def _mutated(self, genome: Genome, rng: np.random.Generator) -> Genome:
        """Each gene is changed with the mutation rate, and at least one: numbers by a step, choices anew."""
        size = len(genome)
        changes = rng.random(size) < self._spec.mutation_rate
        changes[rng.integers(size)] = True
        steps = _reflected(genome + rng.normal(0.0, self._spec.mutation_step, size))
        anew = rng.random(size)
        choice = np.array([isinstance(parameter.domain, Choice) for parameter in self._space.parameters])
        mutated: Genome = np.where(changes, np.where(choice, anew, steps), genome)
        return mutated


def _reflected(point: np.ndarray) -> np.ndarray:
    """A point that left the unit cube, turned back at its walls."""
    beyond: np.ndarray = np.abs(point) % 2.0
    turned: np.ndarray = np.minimum(beyond, 2.0 - beyond)
    return turned
