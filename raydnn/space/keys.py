"""Keys of `search.space`: which fields of a training, in which branches, a dotted key stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic.fields import FieldInfo

from raydnn.errors import one_of
from raydnn.space.conditional import Condition
from raydnn.spec.base import Component, Spec
from raydnn.spec.catalogue.fields import component_classes, nested_spec
from raydnn.spec.job import Training

DEFAULT, SHARED, BRANCH = range(3)
"""How specific a key is; where several stand for one parameter, the most specific one counts."""


@dataclass(frozen=True)
class Target:
    """One field of a training that a key stands for: an axis, a group of fields, or a leaf."""

    key: str
    path: str
    field: FieldInfo
    conditions: tuple[Condition, ...] = ()
    rank: int = SHARED

    @property
    def components(self) -> dict[str, type[Component]]:
        """Name → class of what the axis may hold; empty if the target is no axis."""
        return component_classes(self.field.annotation)

    @property
    def group(self) -> type[Spec] | None:
        """The class of a plain mapping such as `regularization`, else None."""
        return nested_spec(self.field.annotation)


@dataclass
class Choices:
    """The components each axis may have in a trial: what the space chooses, else what the job fixes."""

    job: Training
    searched: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Path of a searched axis → names."""

    def of(self, axis: Target) -> tuple[str, ...]:
        """The names an axis may have."""
        if axis.path in self.searched:
            return self.searched[axis.path]
        value: Any = self.job
        for name in axis.path.split("."):
            value = getattr(value, name, None)
        return (value.name,) if isinstance(value, Component) else tuple(axis.components)

    def condition(self, axis: Target, name: str) -> tuple[Condition, ...]:
        """What must hold for a trial to have this component on the axis."""
        if axis.path not in self.searched:
            return axis.conditions
        return (*axis.conditions, Condition(f"{axis.path}.name", name))


def targets(key: str, choices: Choices) -> list[Target]:
    """Find what a key stands for.

    Args:
        key: For instance `optimizer`, `optimizer.lr`, `optimizer.sgd.momentum`, `optimizer.*.weight_decay`.
        choices: What the axes may hold; axes have fewer dots than what depends on them, so they come first.

    Raises:
        ValueError: The key stands for nothing that a trial could have.
    """
    return _walk(Training, key.split("."), "", "", (), SHARED, choices)


def with_default_range(
    spec: type[Spec], key: str, path: str, conditions: tuple[Condition, ...]
) -> Iterator[Target]:
    """The leaves of a component or group that declare a search range."""
    for name, info in _fields(spec).items():
        group = nested_spec(info.annotation)
        if group is not None:
            yield from with_default_range(group, f"{key}.{name}", f"{path}.{name}", conditions)
        elif not component_classes(info.annotation):
            yield Target(f"{key}.{name}", f"{path}.{name}", info, conditions, DEFAULT)


def _walk(
    spec: type[Spec],
    parts: list[str],
    key: str,
    path: str,
    conditions: tuple[Condition, ...],
    rank: int,
    choices: Choices,
) -> list[Target]:
    name, rest = parts[0], parts[1:]
    known = _fields(spec)
    if name not in known:
        raise ValueError(_unknown(name, "field", path.removesuffix("."), list(known)))
    target = Target(f"{key}{name}", f"{path}{name}", known[name], conditions, rank)
    if not rest:
        return [target]
    if target.components:
        return _branches(target, rest, choices)
    if target.group is not None:
        return _walk(target.group, rest, f"{target.key}.", f"{target.path}.", conditions, rank, choices)
    raise ValueError(f"'{target.path}' has no fields; '{'.'.join(rest)}' stands for nothing")


def _branches(axis: Target, parts: list[str], choices: Choices) -> list[Target]:
    """What the rest of a key stands for in each component an axis may hold."""
    classes, chosen = axis.components, choices.of(axis)
    selector = parts[0]
    rank = axis.rank
    if selector in classes or selector == "*":
        parts = parts[1:]
        if not parts:
            raise ValueError(f"'{selector}' names no field; allowed: {axis.path}.{selector}.FIELD = domain")
    if selector in classes:
        if selector not in chosen:
            allowed = f"{_listed(chosen)}, or `{axis.path}` in search.space with '{selector}'"
            raise ValueError(f"no trial has '{selector}' on the axis {axis.path}; allowed: {allowed}")
        if parts[0] not in _fields(classes[selector]):
            known = list(_fields(classes[selector]))
            raise ValueError(_unknown(parts[0], "field", f"{axis.path}.{selector}", known))
        chosen, rank = (selector,), BRANCH
    having = [name for name, cls in classes.items() if parts[0] in _fields(cls)]
    if not having:
        known = sorted({name for cls in classes.values() for name in _fields(cls)})
        if selector != "*":
            known += classes
        raise ValueError(_unknown(parts[0], "field", axis.path, known))
    names = [name for name in chosen if name in having]
    if not names:
        raise ValueError(
            f"no trial has '{parts[0]}': the axis {axis.path} holds {_listed(chosen)}; "
            f"{_listed(having)} {'has' if len(having) == 1 else 'have'} it"
        )
    return [
        target
        for name in names
        for target in _walk(
            classes[name],
            parts,
            f"{axis.key}.{name}.",
            f"{axis.path}.",
            choices.condition(axis, name),
            rank,
            choices,
        )
    ]


def _fields(spec: type[Spec]) -> dict[str, FieldInfo]:
    """The fields a key can name: a component's own name is chosen through its axis."""
    return {name: info for name, info in spec.model_fields.items() if name != "name"}


def _unknown(given: str, what: str, where: str, allowed: list[str]) -> str:
    inside = f" of {where}" if where else ""
    if not allowed:
        return f"unknown {what} '{given}'{inside}, which has none"
    return f"unknown {what} '{given}'{inside}; {one_of(given, allowed)}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)
