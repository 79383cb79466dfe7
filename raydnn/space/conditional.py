"""The conditional space: parameters in order, each present only where its conditions hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from raydnn.space.domains import Domain
from raydnn.space.syntax import Value, write_value

Assignment: TypeAlias = dict[str, Value]
"""Dotted path of a trial's field → value; only what is active."""


@dataclass(frozen=True)
class Condition:
    """A parameter is active only where another one has this value."""

    path: str
    value: Value

    def holds(self, assignment: Mapping[str, Value]) -> bool:
        """Whether the other parameter is active and has the value."""
        return self.path in assignment and assignment[self.path] == self.value

    def __str__(self) -> str:
        return f"{self.path.removesuffix('.name')} = {write_value(self.value)}"


@dataclass(frozen=True)
class Parameter:
    """One dimension of the space."""

    key: str
    """Unique name: the path with the component in it, for instance `optimizer.sgd.lr`."""
    path: str
    """Field of the trial it sets: `optimizer.lr`; `optimizer.name` for the choice of a component."""
    domain: Domain
    conditions: tuple[Condition, ...]
    """All must hold; what they name comes earlier in the space."""
    written: str
    """Key of `search.space` it comes from."""

    def active(self, assignment: Mapping[str, Value]) -> bool:
        """Whether the parameter exists in a trial with this (partial) assignment."""
        return all(condition.holds(assignment) for condition in self.conditions)


@dataclass(frozen=True)
class Space:
    """Every configuration a sweep may try: parameters, parents before children, and rules between them."""

    parameters: tuple[Parameter, ...]
    rules: tuple[str, ...] = ()

    def from_unit(self, point: Sequence[float]) -> Assignment:
        """The assignment at a point of the unit cube, one coordinate in [0, 1) for each parameter.

        A coordinate is spent whether or not its parameter is active, so a branch never shifts another's draw.
        """
        assignment: Assignment = {}
        for parameter, u in zip(self.parameters, point, strict=True):
            if parameter.active(assignment):
                assignment[parameter.path] = parameter.domain.from_unit(u)
        return assignment

    def draw(self, rng: np.random.Generator) -> Assignment:
        """Draw one assignment."""
        return self.from_unit(rng.random(len(self.parameters)).tolist())

    def grid(self) -> Iterator[Assignment]:
        """Every assignment once, the first parameter varying slowest.

        Raises:
            ValueError: A parameter is continuous.
        """
        for parameter in self.parameters:
            parameter.domain.values()
        return self._expand(0, {})

    def _expand(self, index: int, assignment: Assignment) -> Iterator[Assignment]:
        if index == len(self.parameters):
            yield assignment
            return
        parameter = self.parameters[index]
        if not parameter.active(assignment):
            yield from self._expand(index + 1, assignment)
            return
        for value in parameter.domain.values():
            yield from self._expand(index + 1, {**assignment, parameter.path: value})

    def size(self) -> int | None:
        """How many assignments there are; None if a parameter is continuous."""
        return self._count(())

    def _count(self, conditions: tuple[Condition, ...]) -> int | None:
        product = 1
        for parameter in self._under(conditions):
            values, branches = parameter.domain.size(), self._branches(parameter)
            counts = [self._count(branch) for branch in branches]
            if values is None or None in counts:
                return None
            product *= values - len(branches) + sum(count for count in counts if count is not None)
        return product

    def tree(self) -> list[str]:
        """The space as lines of text, a branch's parameters indented below its condition."""
        return list(self._lines((), ""))

    def _lines(self, conditions: tuple[Condition, ...], indent: str) -> Iterator[str]:
        for parameter in self._under(conditions):
            yield f"{indent}{parameter.path.removesuffix('.name')}: {parameter.domain}"
            for branch in self._branches(parameter):
                yield f"{indent}  if {branch[-1]}:"
                yield from self._lines(branch, f"{indent}    ")

    def _under(self, conditions: tuple[Condition, ...]) -> list[Parameter]:
        return [parameter for parameter in self.parameters if parameter.conditions == conditions]

    def _branches(self, parent: Parameter) -> list[tuple[Condition, ...]]:
        """The conditions of each branch below a parameter, in the order in which they first occur."""
        depth = len(parent.conditions)
        found = dict.fromkeys(
            parameter.conditions[: depth + 1]
            for parameter in self.parameters
            if len(parameter.conditions) > depth
            and parameter.conditions[:depth] == parent.conditions
            and parameter.conditions[depth].path == parent.path
        )
        return list(found)
