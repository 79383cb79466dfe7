"""The conditional space: parameters in order, each present only where its conditions hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TypeAlias

import numpy as np

from raydnn.space.domains.domain import Domain
from raydnn.space.domains.syntax import Value, write_value

Assignment: TypeAlias = dict[str, Value]
"""Dotted path of a trial's field → value; only what is active."""


@dataclass(frozen=True)
class Condition:
    """A parameter is active only where another one has this value."""

    path: str
    value: Value

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
        return self._needed <= assignment.items()

    @cached_property
    def _needed(self) -> frozenset[tuple[str, Value]]:
        return frozenset((condition.path, condition.value) for condition in self.conditions)


@dataclass(frozen=True)
class Rule:
    """What earlier parameters leave a later one."""

    text: str
    path: str
    """The field whose parameters it narrows."""
    reads: tuple[str, ...]
    """Paths of the parameters that decide; where fixed values do, the space's domains are narrowed already."""
    narrow: Callable[[Mapping[str, Value], Domain], Domain | None]
    """The assignment so far and a domain → what is left of it; None: the parameter does not exist."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Space:
    """Every configuration a sweep may try: parameters, after all that decides on them, and rules between them."""

    parameters: tuple[Parameter, ...]
    rules: tuple[Rule, ...] = ()

    def domain(self, parameter: Parameter, assignment: Mapping[str, Value]) -> Domain | None:
        """What a parameter may be, after the rules, in a trial with this assignment; None if it has none."""
        if not parameter.active(assignment):
            return None
        left: Domain | None = parameter.domain
        for rule in self._rules.get(parameter.path, ()):
            if left is not None:
                left = rule.narrow(assignment, left)
        return left

    def needs(self, parameter: Parameter) -> frozenset[str]:
        """Paths of the parameters that decide on this one."""
        rules = self._rules.get(parameter.path, ())
        return frozenset(
            [condition.path for condition in parameter.conditions]
            + [path for rule in rules for path in rule.reads]
        )

    @cached_property
    def _rules(self) -> dict[str, tuple[Rule, ...]]:
        deciding = [rule for rule in self.rules if rule.reads]
        return {
            path: tuple(rule for rule in deciding if rule.path == path)
            for path in dict.fromkeys(rule.path for rule in deciding)
        }

    def from_unit(self, point: Sequence[float]) -> Assignment:
        """The assignment at a point of the unit cube, one coordinate in [0, 1) for each parameter.

        A coordinate is spent whether or not its parameter is active, so a branch never shifts another's draw.
        """
        assignment: Assignment = {}
        for parameter, u in zip(self.parameters, point, strict=True):
            domain = self.domain(parameter, assignment)
            if domain is not None:
                assignment[parameter.path] = domain.from_unit(u)
        return assignment

    def to_unit(self, assignment: Mapping[str, Value]) -> list[float]:
        """A point of the unit cube that `from_unit` takes to the assignment; 0.5 for what is not active.

        Raises:
            ValueError: A choice has a value that its domain lacks.
        """
        point = []
        for parameter in self.parameters:
            domain = self.domain(parameter, assignment)
            point.append(0.5 if domain is None else domain.to_unit(assignment[parameter.path]))
        return point

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
        domain = self.domain(parameter, assignment)
        if domain is None:
            yield from self._expand(index + 1, assignment)
            return
        for value in domain.values():
            yield from self._expand(index + 1, {**assignment, parameter.path: value})

    def size(self) -> int | None:
        """How many assignments there are; None if a parameter is continuous."""
        if any(parameter.domain.size() is None for parameter in self.parameters):
            return None
        return prod(self._count(parameters) for parameters in self._independent())

    def _independent(self) -> list[list[Parameter]]:
        """The parameters in groups that do not decide on one another."""
        groups: list[set[str]] = []
        for parameter in self.parameters:
            linked = {parameter.path, *self.needs(parameter)}
            apart = [group for group in groups if not group & linked]
            groups = [*apart, linked.union(*(group for group in groups if group & linked))]
        return [[parameter for parameter in self.parameters if parameter.path in group] for group in groups]

    def _count(self, parameters: Sequence[Parameter]) -> int:
        """How many assignments a group has: of each partial one, only what later parameters need is kept."""
        counts: Counter[tuple[tuple[str, Value], ...]] = Counter({(): 1})
        for index, parameter in enumerate(parameters):
            later = frozenset[str]().union(*map(self.needs, parameters[index + 1 :]))
            grown: Counter[tuple[tuple[str, Value], ...]] = Counter()
            for state, count in counts.items():
                domain, kept = (
                    self.domain(parameter, dict(state)),
                    [item for item in state if item[0] in later],
                )
                if domain is None:
                    grown[tuple(kept)] += count
                elif parameter.path in later:
                    for value in domain.values():
                        grown[(*kept, (parameter.path, value))] += count
                else:
                    grown[tuple(kept)] += count * (domain.size() or 0)
            counts = grown
        return counts.total()

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
