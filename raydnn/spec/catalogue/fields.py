"""Reading spec classes: which fields, components and types a job can have. Everything derived starts here."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from raydnn.spec.base import Component, Descends, PathOf, Spec


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of an annotation: the classes of a union, without `Annotated` and `None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(m for part in get_args(annotation) if part is not types.NoneType for m in members(part))
    return (annotation,)


def component_classes(annotation: Any) -> dict[str, type[Component]]:
    """Name → class of every component an axis may hold; empty for a field that is no axis."""
    return {
        component_name(cls): cls
        for cls in members(annotation)
        if isinstance(cls, type) and issubclass(cls, Component)
    }


def component_name(cls: type[Component]) -> str:
    """The name a job file uses for this component."""
    (name,) = get_args(cls.model_fields["name"].annotation)
    return str(name)


def nested_spec(annotation: Any) -> type[Spec] | None:
    """The spec class of a field that is a plain mapping (`train`, `regularization`), else None."""
    for cls in members(annotation):
        if isinstance(cls, type) and issubclass(cls, Spec) and not issubclass(cls, Component):
            return cls
    return None


def optional(annotation: Any) -> bool:
    """Whether a field may be null."""
    if get_origin(annotation) is Annotated:
        return optional(get_args(annotation)[0])
    return get_origin(annotation) in (Union, types.UnionType) and types.NoneType in get_args(annotation)


def leaves(spec: type[Spec], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf of a spec by dotted path, over all components; a path that several share comes once each."""
    for name, field in spec.model_fields.items():
        nested = nested_spec(field.annotation)
        components = component_classes(field.annotation)
        for cls in components.values():
            yield from leaves(cls, f"{prefix}{name}.")
        if nested is not None:
            yield from leaves(nested, f"{prefix}{name}.")
        elif not components:
            yield f"{prefix}{name}", field


def required(spec: type[Spec]) -> bool:
    """Whether a component must be given some field, so that its name alone does not choose it."""
    return any(field.is_required() for field in spec.model_fields.values())


def python_type(annotation: Any) -> type:
    """The one Python type of a leaf: bool, int, float, str, or tuple for a list."""
    for member in members(annotation):
        origin = get_origin(member)
        if origin is Literal:
            return type(get_args(member)[0])
        if origin is tuple:
            return tuple
        if member in (bool, int, float, str):
            return member  # type: ignore[no-any-return]
    raise TypeError(f"no column type for {annotation}")


def item_type(annotation: Any) -> type | None:
    """The Python type of a list's items; None for a leaf that is no list."""
    for member in members(annotation):
        if get_origin(member) is tuple:
            return python_type(get_args(member)[0])
    return None


def type_name(annotation: Any) -> str:
    """The type of a leaf as a user reads it, for instance `float or null`, `none | unit`."""
    names = []
    for member in members(annotation):
        if get_origin(member) is Literal:
            names.append(" | ".join(map(str, get_args(member))))
        elif get_origin(member) is tuple:
            names.append(f"list of {type_name(get_args(member)[0])}")
        else:
            names.append(getattr(member, "__name__", str(member)))
    return " or ".join(names) + (" or null" if optional(annotation) else "")


def bounds(field: FieldInfo) -> dict[str, float]:
    """The bounds of a numeric field by operator: `gt`, `ge`, `lt`, `le`."""
    found = {}
    for constraint in field.metadata:
        for operator in ("gt", "ge", "lt", "le"):
            value = getattr(constraint, operator, None)
            if value is not None:
                found[operator] = value
    return found


_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def allowed(field: FieldInfo) -> str:
    """What a field takes, as a user reads it: `float, at least 0, below 1`, or `sgd, adam, adamw`."""
    classes = component_classes(field.annotation)
    if classes:
        return ", ".join(classes)
    nested = nested_spec(field.annotation)
    if nested:
        return f"a mapping with {', '.join(nested.model_fields)}"
    if field.annotation == dict[str, Any]:
        return "a mapping of fields to domains"
    item = _item(field)
    each = "each " if item else ""
    limits = [f"{each}{_LIMITS[operator]} {limit}" for operator, limit in bounds(item or field).items()]
    return ", ".join([type_name(field.annotation), *limits])


def _item(field: FieldInfo) -> FieldInfo | None:
    """The field of a list's items, with their bounds."""
    for member in members(field.annotation):
        if get_origin(member) is tuple:
            return FieldInfo.from_annotation(get_args(member)[0])
    return None


def search_range(field: FieldInfo) -> str | None:
    """The default search range a field declares, in job-file syntax."""
    extra = field.json_schema_extra
    return str(extra["search"]) if isinstance(extra, dict) and "search" in extra else None


def descent_of(field: FieldInfo) -> Descends | None:
    """With which values of a field a trial may descend within the backward pass; None: whatever it is."""
    return next((mark for mark in field.metadata if isinstance(mark, Descends)), None)


def path_of(field: FieldInfo) -> PathOf | None:
    """What the path leads to that a field, or each item of its list, holds; None for a field that holds none."""
    marks = [*field.metadata, *_metadata(field.annotation)]
    return next((mark for mark in marks if isinstance(mark, PathOf)), None)


def _metadata(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for inner in get_args(annotation):
        yield from _metadata(inner)
