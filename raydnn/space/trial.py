"""From a drawn assignment to a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from raydnn.errors import JobError
from raydnn.space.domains.syntax import Value
from raydnn.spec.base import Component, Spec
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import Job, Training
from raydnn.spec.reading.positions import Positions
from raydnn.spec.reading.problems import validation_problems
from raydnn.spec.trial import TrialSpec


def make_trial(job: Job, assignment: Mapping[str, Value]) -> TrialSpec:
    """Apply an assignment to a job; a scheduler's `max_epochs` replaces `train.epochs`.

    Early stopping watches what trials are ranked by, unless the job says otherwise.

    Args:
        job: The job; what it gives for a component holds wherever a trial has that component.
        assignment: Dotted path → value, an axis (`optimizer.name`) before its component's fields.

    Raises:
        JobError: The values contradict one another.
    """
    given = _as_given(job, Training.model_fields)
    for axis in ("activation", "normalization"):
        if axis not in job.model_fields_set:
            del given[axis]  # That of the model, which may be drawn.
    for path, value in assignment.items():
        _set(given, path.split("."), value)
    if "train.epochs" not in assignment:
        _set(given, ["train", "epochs"], epochs_of(job))
    stopping = given["train"].get("early_stopping")
    if stopping is not None and job.search is not None:
        stopping.setdefault("monitor", job.search.metric)
    try:
        return TrialSpec.from_training(Training.model_validate(given))
    except ValidationError as error:
        raise JobError(validation_problems(error, Positions({}))) from error


def drawn(job: Job, assignment: Mapping[str, Value], axis: str) -> Any:
    """The component that a trial has on an axis.

    Args:
        job: The job; what it gives for a component holds wherever a trial has that component.
        assignment: Dotted path → value, perhaps only a part of the trial's.
        axis: Such as `model`.

    Raises:
        ValidationError: The component's values contradict one another.
    """
    searched = {path: value for path, value in assignment.items() if path.startswith(f"{axis}.")}
    fixed = getattr(job, axis)
    if not searched:
        return fixed
    given = {axis: _as_given(fixed)}
    for path, value in searched.items():
        _set(given, path.split("."), value)
    return components(axis)[given[axis]["name"]].model_validate(given[axis])


def _as_given(spec: Spec, names: Iterable[str] | None = None) -> dict[str, Any]:
    """A spec (or only some of its fields) as plain data, without the leaves that were left at their defaults."""
    plain: dict[str, Any] = {}
    for name in spec.__dict__ if names is None else names:
        value = getattr(spec, name)
        if isinstance(value, Spec):
            plain[name] = _as_given(value)
        elif name in spec.model_fields_set or (name == "name" and isinstance(spec, Component)):
            plain[name] = value
    return plain


def _set(plain: dict[str, Any], path: list[str], value: Value) -> None:
    *parents, last = path
    for name in parents:
        if plain.get(name) is None:
            plain[name] = {}
        plain = plain[name]
    if last == "name" and plain.get("name") != value:
        plain.clear()
    plain[last] = value
