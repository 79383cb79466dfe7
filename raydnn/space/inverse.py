"""The way back: the assignment of a space that gives a trial its values."""

from __future__ import annotations

from collections.abc import Collection
from math import isfinite
from typing import Any

from raydnn.space.conditional import Space
from raydnn.space.domains.domain import Choice, Domain, LogUniform, OneMinus, Uniform
from raydnn.space.domains.normal import LogNormal, Normal
from raydnn.space.domains.syntax import Value, write_value
from raydnn.space.trial import make_trial
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec

BUDGET = "train.epochs"
_AUTO = "auto"


class OutsideError(ValueError):
    """A trial lies outside of a space: which parameter, its value, and what the space allows."""


def assignment_of(
    space: Space, job: Job, trial: TrialSpec, held: Collection[str] | None = None
) -> dict[str, Value]:
    """The assignment of a space that gives a trial its values.

    Args:
        space: The space.
        job: Its job.
        trial: The trial, perhaps another sweep's.
        held: Paths of parameters that must be as in the trial where the space does not search them; the others are
            the job's own. None: all but the budget in epochs and the seed.

    Raises:
        OutsideError: A value lies outside of its domain, or one that is held is another one in the job.
    """
    values = _values(trial)
    assignment: dict[str, Value] = {}
    for parameter in space.parameters:
        domain = space.domain(parameter, assignment)
        if domain is not None:
            assignment[parameter.path] = _own(domain, parameter.path, values.get(parameter.path))
    made = _values(make_trial(job, assignment))
    for path in sorted(values.keys() | made.keys() if held is None else held):
        if held is None and path in (BUDGET, "seed"):
            continue
        if values.get(path) != made.get(path):
            fixed = write_value(made.get(path))
            raise OutsideError(f"{_told(path, values.get(path))}; allowed: {fixed}, which this job fixes")
    return assignment


def _values(trial: TrialSpec) -> dict[str, Any]:
    return {"seed": trial.seed, **trial.parameters()}


def _own(domain: Domain, path: str, value: Any) -> Value:
    """A value as a domain has it: `auto` stands for the component that it was resolved into."""
    if isinstance(domain, Choice):
        for option in (value, _AUTO) if path.endswith(".name") else (value,):
            if option in domain.options:
                return domain.options[domain.options.index(option)]
    elif type(value) in (int, float) and _lies_in(domain, value):
        return value  # type: ignore[no-any-return]
    raise OutsideError(f"{_told(path, value)}; allowed: {domain}")


def _lies_in(domain: Domain, value: float) -> bool:
    match domain:
        case Uniform() | LogUniform():
            return domain.a <= value < domain.b
        case OneMinus():
            return domain.from_unit(0.0) <= value <= domain.turned(domain.inside.a)
        case LogNormal():
            return value > 0 and domain.lowest <= value <= domain.highest
        case Normal():
            return isfinite(value) and domain.lowest <= value <= domain.highest
        case _:
            return value in domain.values()


def _told(path: str, value: Any) -> str:
    return f"{path.removesuffix('.name')}: {write_value(value)}"
