"""Pydantic's validation errors → one readable line each, with the place and what is allowed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from raydnn.errors import Problem, nearest, one_of
from raydnn.spec.base import Component, Spec
from raydnn.spec.catalogue.fields import (
    allowed,
    component_classes,
    component_name,
    leaves,
    members,
    nested_spec,
)
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions

_YAML_1_1_BOOLEANS = {
    word: truth for words, truth in (("yes on y", "true"), ("no off n", "false")) for word in words.split()
}


@dataclass(frozen=True)
class _Spot:
    """What an error's location points at: its path as a user writes it, and the field there."""

    path: tuple[str | int, ...]
    owner: type[Spec] | None
    field: FieldInfo | None


def validation_problems(error: ValidationError, positions: Positions) -> list[Problem]:
    """Every error of a validation as a problem, in Pydantic's order."""
    return [
        _problem(details, positions)
        for details in error.errors(include_url=False)
        if details["type"] != "too_short" or not details["input"]  # a list with a bad item counts as empty
    ]


def broken_fields(error: ValidationError) -> set[str]:
    """The top-level fields in which a validation found something wrong."""
    return {str(details["loc"][0]) for details in error.errors(include_url=False) if details["loc"]}


def _problem(details: ErrorDetails, positions: Positions) -> Problem:
    spot = _spot(details["loc"])
    path = spot.path
    place = positions.of(path)
    if details["type"] == "union_tag_invalid":
        place = positions.of((*path, "name"))
    if path and path[-1] == "name" and spot.owner and issubclass(spot.owner, Component):
        path = path[:-1]
    dotted = ".".join(str(part) for part in path if isinstance(part, str))
    return Problem(place, dotted, _message(details, spot))


def _message(details: ErrorDetails, spot: _Spot) -> str:
    given, kind = details["input"], details["type"]
    if kind == "extra_forbidden":
        return _unknown_field(spot)
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "string_pattern_mismatch":
        return f"{show(given)}; allowed: {details['ctx']['pattern'].strip('^$')}"
    if spot.field is None:
        return f"{show(given)}; {details['msg']}"
    if kind == "missing":
        return f"missing; allowed: {allowed(spot.field)}"
    classes = component_classes(spot.field.annotation)
    if classes:
        return _wrong_component(given, kind, classes, spot)
    if spot.owner and issubclass(spot.owner, Component) and spot.path[-1] == "name":
        name = component_name(spot.owner)
        return _unknown_component(given, [name], spot.path[-2])
    if kind == "too_short":
        return f"{show(given)}; allowed: {allowed(spot.field)}, one or more"
    if kind == "too_long":
        return f"{details['ctx']['actual_length']} values; allowed: at most {details['ctx']['max_length']}"
    if kind == "finite_number":
        return f"{show(given)}; allowed: {allowed(spot.field)}, finite"
    if kind == "literal_error":
        choices = [str(choice) for member in members(spot.field.annotation) for choice in get_args(member)]
        return f"{_with_type(given)}; {one_of(given, choices)}"
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return f"{_with_type(given)}; allowed: {allowed(spot.field)}{_hint(given, spot.field)}"
    return f"{show(given)}; allowed: {allowed(spot.field)}"


def _unknown_field(spot: _Spot) -> str:
    if spot.owner is None:
        return "unknown field"
    fields = [name for name in spot.owner.model_fields if name != "name" or spot.owner is Job]
    if spot.owner is Job:
        fields += ["extends", "preset"]
    of = f" of {component_name(spot.owner)}" if issubclass(spot.owner, Component) else ""
    hint = _meant(spot.path, fields)
    return f"unknown field{of}; allowed: {', '.join(fields) or 'none'}{'.' if hint else ''}{hint}"


def _meant(written: Sequence[str | int], fields: Sequence[str]) -> str:
    """Which field was probably meant: one of this name elsewhere in a job, a near one here, a near one elsewhere."""
    given, (known, elsewhere) = str(written[-1]), _fields_of_jobs()
    if ".".join(map(str, written)) in known:  # of another component
        return nearest(given, fields)
    exact = elsewhere.get(given, [])
    near = get_close_matches(given, fields, n=1, cutoff=0.85 if exact else 0.6)
    if not exact and not near:
        exact = [
            path for name in get_close_matches(given, elsewhere, n=1, cutoff=0.75) for path in elsewhere[name]
        ]
    meant = [*exact, *near][:3]
    return f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""


@cache
def _fields_of_jobs() -> tuple[frozenset[str], Mapping[str, Sequence[str]]]:
    """All dotted paths of a job, and a name or meaning → the paths that it may stand for."""
    known = list(leaves(Job))
    elsewhere: dict[str, list[str]] = {}
    for path, field in known:
        above, _, name = path.rpartition(".")
        meaning = (field.description or "").replace(" ", "_")  # `learning_rate` is what lr means
        for each, called in ((path, name), (path, meaning), (above, above.rpartition(".")[2])):
            found = elsewhere.setdefault(called, [])
            if "." in each and name != "name" and each not in found:
                found.append(each)
    return frozenset(path for path, _ in known), elsewhere


def _wrong_component(given: Any, kind: str, classes: Mapping[str, type[Component]], spot: _Spot) -> str:
    axis = spot.path[-1]
    if kind == "union_tag_not_found":
        return f"no name is given; allowed: a mapping with name: {', '.join(classes)}"
    if isinstance(given, Mapping) and "name" in given:
        return _unknown_component(given["name"], list(classes), axis)
    return f"{_with_type(given)}; allowed: a name, or a mapping with name: {', '.join(classes)}"


def _unknown_component(given: Any, names: Sequence[str], axis: str | int) -> str:
    return f"unknown {axis} {show(given)}; {one_of(given, names)}"


def _hint(given: Any, field: FieldInfo) -> str:
    if not isinstance(given, str):
        return ""
    types = members(field.annotation)
    if bool in types and given.lower() in _YAML_1_1_BOOLEANS:
        return f" (in YAML 1.2 {given} is text: write {_YAML_1_1_BOOLEANS[given.lower()]})"
    if (int in types or float in types) and _is_number(given):
        return " (this is text: write the number without quotes and underscores)"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def show(value: Any) -> str:
    """A value as a job file writes it, cut to one short line."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _with_type(value: Any) -> str:
    if value is None:
        return "null"
    kinds: dict[type, str] = {dict: "mapping", tuple: "list"}
    kind = kinds.get(type(value), type(value).__name__)
    return f"{show(value)} ({kind})"


def _spot(location: Sequence[str | int]) -> _Spot:
    """Follow a location through the spec classes and leave out the tags pydantic adds for unions."""
    path: list[str | int] = []
    owner: type[Spec] | None = None
    field: FieldInfo | None = None
    below: type[Spec] | None = Job
    classes: Mapping[str, type[Component]] = {}
    for part in location:
        if len(classes) > 1 and part in classes:
            below, classes = classes[str(part)], {}
            continue
        path.append(part)
        if isinstance(part, int):
            continue
        owner = below
        field = owner.model_fields.get(part) if owner else None
        annotation = field.annotation if field else None
        classes = component_classes(annotation)
        below = nested_spec(annotation) or (next(iter(classes.values())) if len(classes) == 1 else None)
    return _Spot(tuple(path), owner, field)
