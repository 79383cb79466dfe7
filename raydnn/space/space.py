"""From the keys and domains of `search.space` to a checked, conditional space.

A component's axis takes `all` (every component that fits the task, each with the ranges its spec declares),
one name, or a list of names; with names, nothing is searched but what is written. A leaf takes a domain, a
list of choices, or one value. `AXIS.COMPONENT.FIELD` overrides `AXIS.*.FIELD` and `AXIS.FIELD`, and these
override what `all` brings. Rules (`raydnn.space.rules`) keep draws from contradicting themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from raydnn.errors import JobError, Problem, one_of
from raydnn.space.conditional import Assignment, Condition, Parameter, Space
from raydnn.space.domains.domain import Choice, Domain, parse
from raydnn.space.domains.fit import fit
from raydnn.space.domains.ordered import ordered
from raydnn.space.domains.syntax import freeze, write_value
from raydnn.space.explore import lasts
from raydnn.space.keys import Choices, Target, targets, with_default_range
from raydnn.space.rules import ALL, with_rules
from raydnn.space.trial import make_trial
from raydnn.spec.base import Spec
from raydnn.spec.catalogue.fields import allowed, required, search_range
from raydnn.spec.checks.compatibility import unfit as unfit_for
from raydnn.spec.checks.contradictions import cross_field_problems
from raydnn.spec.data import Task
from raydnn.spec.job import Job, Training
from raydnn.spec.reading.positions import Positions
from raydnn.spec.search import Search

__all__ = ["Assignment", "Condition", "Parameter", "Space", "build_space", "make_trial"]

PROBES = 256
"""Trials drawn when a space is built, to find values that are valid each but not together."""

STANDS_FOR_ANOTHER = "auto"
"""A component that is resolved into another one; `all` leaves it out."""


def build_space(job: Job, positions: Positions) -> Space:
    """Read and check the space of a sweep.

    Args:
        job: A job with `search`.
        positions: Where its fields stand, for the messages.

    Raises:
        JobError: Every problem of the space, each with its place.
    """
    if job.search is None:
        message = "is not given; a sweep needs it, with a `space`"
        raise JobError([Problem(positions.of(("search",)), "search", message)])
    draft = _Draft(Choices(job))
    problems: list[tuple[tuple[str, ...], str]] = []
    written = job.search.space
    # What depends on an axis has more dots than the axis, so every axis is read before it is asked for.
    for key in sorted(written, key=lambda key: key.count(".")):
        messages = draft.read(key, written[key])
        problems += [(("search", "space", key), message) for message in dict.fromkeys(messages)]
    space = with_rules(job, [parameter for _, parameter in draft.found.values()])
    if not problems:
        problems += _misfits(job.search, space)
    if not problems:
        problems += _contradictions(job, positions, space)
    if problems:
        order = list(written)
        problems.sort(
            key=lambda problem: order.index(problem[0][-1]) if problem[0][-1] in order else len(order)
        )
        raise JobError(Problem(positions.of(path), ".".join(path), message) for path, message in problems)
    return space


@dataclass
class _Draft:
    """The parameters found so far, and what the axes may hold."""

    choices: Choices
    found: dict[str, tuple[int, Parameter]] = field(default_factory=dict)
    """Key of a parameter → how specific its origin is, and the parameter."""

    def read(self, key: str, written: object) -> Iterator[str]:
        """Read one entry of `search.space`; yields what is wrong with it."""
        try:
            for target in targets(key, self.choices):
                try:
                    if target.components:
                        self._read_axis(key, target, written)
                    elif target.group is not None:
                        self._read_group(key, target, target.group, written)
                    else:
                        self._add(key, target, _leaf_domain(target, written))
                except ValueError as error:
                    yield str(error)
        except ValueError as error:
            yield str(error)

    def _read_axis(self, key: str, axis: Target, written: object) -> None:
        # Should the names be wrong, keys below the axis are still checked, against every component.
        self.choices.searched[axis.path] = tuple(axis.components)
        names = _axis_names(axis, written, self.choices.job.data.learns)
        self.choices.searched[axis.path] = names
        self._add(key, replace(axis, path=f"{axis.path}.name"), Choice(names))
        if written == ALL:
            for name in names:
                cls, conditions = axis.components[name], self.choices.condition(axis, name)
                self._add_declared(key, with_default_range(cls, f"{axis.key}.{name}", axis.path, conditions))

    def _read_group(self, key: str, target: Target, group: type[Spec], written: object) -> None:
        if written != ALL:
            fields = ", ".join(f"{target.path}.{name}" for name in group.model_fields)
            raise ValueError(f"{written!r}; allowed: `{ALL}`, or domains for its fields: {fields}")
        self._add_declared(key, with_default_range(group, target.key, target.path, target.conditions))

    def _add_declared(self, key: str, declared: Iterator[Target]) -> None:
        for target in declared:
            text = search_range(target.field)
            if text is not None:
                self._add(key, target, _leaf_domain(target, text))

    def _add(self, key: str, target: Target, domain: Domain) -> None:
        rank, other = self.found.get(target.key, (-1, None))
        if other is not None and rank == target.rank:
            raise ValueError(f"{target.key} is searched twice: '{other.written}' stands for it, too")
        if target.rank > rank:
            parameter = Parameter(target.key, target.path, domain, target.conditions, key)
            self.found[target.key] = target.rank, parameter


def _leaf_domain(target: Target, written: object) -> Domain:
    if written is None or isinstance(written, Mapping) or written == ALL:
        given = "nothing is given" if written is None else f"{written!r}"
        raise ValueError(f"{given}; allowed: a domain, a list of choices, or {allowed(target.field)}")
    return fit(parse(written) or Choice((freeze(written),)), target.field)


def _axis_names(axis: Target, written: object, task: Task) -> tuple[str, ...]:
    """The components that an entry chooses for an axis."""
    if axis.path == "data":
        raise ValueError("a sweep has one data set; allowed: domains for its fields, such as data.scaling")
    unfit = {name: why for name, cls in axis.components.items() if (why := unfit_for(cls, axis.path, task))}
    if written == ALL:
        return tuple(
            name
            for name, cls in axis.components.items()
            if name != STANDS_FOR_ANOTHER and name not in unfit and not required(cls)
        )
    names = ", ".join(axis.components)
    domain = Choice((written,)) if isinstance(written, str) and "(" not in written else parse(written)
    if not isinstance(domain, Choice):
        given = "nothing is given" if written is None else f"{written!r}"
        raise ValueError(f"{given}; allowed: `{ALL}`, a name, or a list of names: {names}")
    for name in domain.options:
        if name not in axis.components:
            raise ValueError(f"unknown component {write_value(name)}; {one_of(name, axis.components)}")
        if name in unfit:
            raise ValueError(f"{name} {unfit[name]}; allowed: {_without(axis.components, unfit)}")
    return tuple(str(name) for name in domain.options)


def _without(names: Iterable[str], unfit: Iterable[str]) -> str:
    return ", ".join(name for name in names if name not in unfit)


def _misfits(search: Search, space: Space) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the search's algorithm and scheduler do not allow in the space."""
    for parameter in space.parameters:
        path = ("search", "space", parameter.written)
        if search.algorithm.name == "grid" and parameter.domain.size() is None:
            message = "a grid needs choices, whole numbers or quniform"
            yield path, f"{parameter.key}: {parameter.domain} is continuous; {message}"
        if search.algorithm.name == "pso" and not ordered(parameter.domain) and parameter.domain.size() != 1:
            message = (
                "particles fly through ranges and numbers in order only; allowed: algorithm evolution or tpe"
            )
            yield path, f"{parameter.key}: {parameter.domain} has no order, but {message}"
        if parameter.path == "seed" and parameter.domain.size() != 1 and search.several_seeds:
            message = "search.repeats and search.confirm give each configuration seeds of its own"
            yield path, f"seed is searched, but {message}; leave out one of both"
        if search.algorithm.name == "pbt" and parameter.domain.size() != 1 and (why := lasts(parameter.path)):
            message = "a trial of pbt cannot change it when it copies another"
            yield path, f"{parameter.key} is searched, but {message}: {why}"
        if parameter.path == "train.epochs" and search.scheduler.name != "none":
            message = f"but scheduler {search.scheduler.name} needs one budget for all trials"
            yield path, f"train.epochs is searched, {message}; give search.scheduler.max_epochs instead"
    numbers = any(
        ordered(parameter.domain) and parameter.domain.size() != 1 for parameter in space.parameters
    )
    if search.algorithm.name == "cmaes" and not numbers:
        message = "cmaes needs a range or numbers in order, and the space has none; allowed: evolution or tpe"
        yield ("search", "algorithm"), message
    size = space.size()
    if not search.algorithm.ends and size is not None and (search.trials or 0) > size:
        yield ("search", "trials"), f"{search.trials}; allowed: at most {size}, the size of the space"


def _contradictions(job: Job, positions: Positions, space: Space) -> Iterator[tuple[tuple[str, ...], str]]:
    """Values that are valid each but not together, found by making a few trials."""
    rng = np.random.default_rng(0)
    for _ in range(PROBES):
        try:
            trial = make_trial(job, space.draw(rng))
            drawn = {name: getattr(trial, name) for name in Training.model_fields}
            problems = tuple(cross_field_problems(job.model_copy(update=drawn), Positions({})))
        except JobError as error:
            problems = error.problems
        if problems:
            for problem in problems:
                key = _searching(problem.field, space)
                if key is None and problem.field in positions.by_path:
                    why = f"a trial of search.space would be invalid: {problem.message}"
                    yield tuple(problem.field.split(".")), why
                else:
                    yield ("search", "space", *filter(None, [key])), f"a trial would be invalid: {problem}"
            return


def _searching(field: str, space: Space) -> str | None:
    """The key of the space that searches a field, or a part of it; None where the job fixes it."""
    for parameter in space.parameters:
        path = parameter.path.removesuffix(".name")
        if f"{path}.".startswith(f"{field}.") or f"{field}.".startswith(f"{path}."):
            return parameter.written
    return None
