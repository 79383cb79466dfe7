"""Laying one job over another: a file over the one it extends, an override over a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from raydnn.errors import JobError, Problem
from raydnn.shell import command
from raydnn.spec.base import Component, Spec
from raydnn.spec.catalogue.fields import component_classes, component_name, nested_spec, type_name
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import plain
from raydnn.spec.reading.source import COMMAND_LINE, Node, read_value

RELATIVE = ("search.trials", "train.epochs", "search.scheduler.max_epochs")
"""What an extension of a sweep can add to."""


def is_relative(text: str) -> bool:
    """Whether the value of an override is an amount to add, such as `+100`."""
    return text.lstrip()[:1] == "+" and text.lstrip()[1:2].isdecimal()


def merge(parent: Node, child: Node, annotation: Any = Job) -> Node:
    """Lay a child's fields over its parent's.

    Mappings merge field by field. A component of another name replaces the parent's whole; one of the same
    name, or without a name, merges into it. Everything else is replaced.
    """
    classes = component_classes(annotation)
    if classes:
        parent, child = _named(parent), _named(child)
    if not isinstance(parent.value, dict) or not isinstance(child.value, dict):
        return child
    if classes and _differ(parent.value.get("name"), child.value.get("name")):
        return child
    spec = nested_spec(annotation) or _chosen(classes, child, parent)
    merged = dict(parent.value)
    for key, node in child.value.items():
        known = key in merged
        merged[key] = merge(merged[key], node, _annotation(spec, key)) if known else node
    # What an override leaves unsaid is found missing where the mapping stands in the file.
    return Node(merged, parent.place if child.place == COMMAND_LINE else child.place)


def apply_overrides(root: Node, overrides: Sequence[str]) -> tuple[Node, list[Problem]]:
    """Lay `dotted.path=value` overrides over a job, in their order.

    Returns:
        The job, and a problem for each override that cannot be read.
    """
    problems: list[Problem] = []
    for override in overrides:
        try:
            root = merge(root, _override(root, override))
        except JobError as error:
            problems += error.problems
    return root, problems


def dropped(before: Node, after: Node) -> dict[str, Any]:
    """What a job said and overrides have dropped, because they name another component: values by dotted path."""
    kept = {path: node.value for path, node in _written(after, "")}
    return {
        path: plain(node)
        for path, node in _written(before, "")
        if path not in kept
        and not isinstance(node.value, dict)
        and all(kept.get(above, "") is not None for above in _above(path))
    }


def _written(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Every field of a job but names, by its dotted path."""
    yield path, node
    for key, child in node.value.items() if isinstance(node.value, dict) else ():
        if key != "name":
            yield from _written(child, f"{path}.{key}" if path else key)


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _override(root: Node, override: str) -> Node:
    path, equals, text = override.partition("=")
    parts = path.split(".")
    if not equals or not all(parts) or path != path.strip() or not path.isprintable():
        message = f"{override!r} is not an override; allowed: field=value, such as optimizer.lr=0.1"
        raise JobError([Problem(COMMAND_LINE, "", message)])
    if is_relative(text):
        allowed = command("sweep", "--extend", "RUN")
        message = f"{text} adds to what a run has; allowed with {allowed}, for {', '.join(RELATIVE)}"
        raise JobError([Problem(COMMAND_LINE, path, message)])
    if path == "extends":
        message = "only a file can extend another; allowed in files: extends: other.yaml"
        raise JobError([Problem(COMMAND_LINE, path, message)])
    return _nest(parts, 0, read_value(text, path), Job, root)


def _nest(parts: Sequence[str], depth: int, value: Node, spec: type[Spec] | None, base: Node | None) -> Node:
    """The value inside the mappings that `parts[depth:]` names, seen from the job as it is so far."""
    head, rest = parts[depth], parts[depth + 1 :]
    if not rest:
        return _mapping(head, value)
    field = spec.model_fields.get(head) if spec else None
    annotation = field.annotation if field else None
    if annotation == dict[str, Any]:
        return _mapping(head, _mapping(".".join(rest), value))
    classes, nested = component_classes(annotation), nested_spec(annotation)
    if field and not classes and not nested:
        here = ".".join(parts[: depth + 1])
        message = f"unknown field; {here} holds no fields: it is {type_name(annotation)}"
        raise JobError([Problem(COMMAND_LINE, ".".join(parts), message)])
    below = base.value.get(head) if base and isinstance(base.value, dict) else None
    default = None
    if below is None and field and isinstance(field.default, Component):
        below = default = Node(component_name(type(field.default)), COMMAND_LINE)
    if below and classes:
        below = _named(below)
    inner = _nest(parts, depth + 1, value, nested or _chosen(classes, below), below)
    return _mapping(head, merge(default, inner, annotation) if default else inner)


def _mapping(key: str, value: Node) -> Node:
    return Node({key: value}, COMMAND_LINE)


def _named(node: Node) -> Node:
    return Node({"name": node}, node.place) if isinstance(node.value, str) else node


def _differ(one: Node | None, other: Node | None) -> bool:
    return one is not None and other is not None and one.value != other.value


def _chosen(classes: dict[str, type[Component]], *nodes: Node | None) -> type[Component] | None:
    if len(classes) == 1:
        return next(iter(classes.values()))
    for node in nodes:
        name = node.value.get("name") if node and isinstance(node.value, dict) else None
        if name is not None and isinstance(name.value, str):
            return classes.get(name.value)
    return None


def _annotation(spec: type[Spec] | None, key: str) -> Any:
    field = spec.model_fields.get(key) if spec else None
    return field.annotation if field else None
