"""The paths of a job, made absolute once, when it is read.

A path in a job file is relative to that file, as `extends` is; one on the command line to the shell's folder, and so is
`storage` wherever it is written. `~` is the home folder. An address (`s3://...`) stays as it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from raydnn.errors import JobError
from raydnn.secrets import is_secret
from raydnn.spec.base import Component, PathOf, Spec
from raydnn.spec.catalogue.fields import component_classes, nested_spec, path_of
from raydnn.spec.job import Job, Training
from raydnn.spec.reading.positions import plain
from raydnn.spec.reading.source import COMMAND_LINE, MAPPING, Node, read_value
from raydnn.spec.search import BEST

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DOMAIN = re.compile(r"\s*[A-Za-z_]\w*\s*\(")
_CHOICES = re.compile(r"\s*(choice|grid)\s*\((.*)\)\s*", re.DOTALL)


@dataclass(frozen=True)
class Moved:
    """A field that held a relative path, or several."""

    what: str
    """What the path leads to, as in PathOf."""
    given: Any
    absolute: Any


def is_address(path: str) -> bool:
    """Whether a path is an address such as `s3://BUCKET/FOLDER`, which is the same from everywhere."""
    return _ADDRESS.match(path) is not None


def with_absolute_paths(root: Node) -> tuple[Node, dict[str, Moved]]:
    """Make every path of a job absolute.

    Args:
        root: The job, whose values know where they were written.

    Returns:
        The job; and by dotted path the fields that had relative paths.
    """
    moved: dict[str, Moved] = {}
    if isinstance(root.value, dict) and "storage" not in root.value:
        default = Node(Job.model_fields["storage"].default, root.place)
        root = Node({**root.value, "storage": default}, root.place)
    return _of_spec(root, Job, "", moved), moved


def _of_spec(node: Node, spec: type[Spec] | None, prefix: str, moved: dict[str, Moved]) -> Node:
    if not isinstance(node.value, dict) or spec is None:
        return node
    fields = {
        key: _of_field(child, spec.model_fields[key], f"{prefix}{key}", moved)
        if key in spec.model_fields
        else child
        for key, child in node.value.items()
    }
    return Node(fields, node.place)


def _of_field(node: Node, field: FieldInfo, path: str, moved: dict[str, Moved]) -> Node:
    kind = path_of(field)
    if path == "search.space" and isinstance(node.value, dict):
        searched = {key: _of_domain(key, child, moved) for key, child in node.value.items()}
        return Node(searched, node.place)
    if kind is not None:
        return _noted(node, _absolute(node, kind), kind, path, moved)
    classes = component_classes(field.annotation)
    below = nested_spec(field.annotation) or (_chosen(classes, node) if classes else None)
    return _of_spec(node, below, f"{path}.", moved)


def _of_domain(key: str, node: Node, moved: dict[str, Moved]) -> Node:
    """The domain of a path: a list, `choice(...)`, or one path."""
    kind = _searched(key)
    if kind is None:
        return node
    if not isinstance(node.value, str) or not _DOMAIN.match(node.value):
        return _noted(node, _absolute(node, kind), kind, f"search.space.{key}", moved)
    call = _CHOICES.fullmatch(node.value)
    if call is None:
        return node  # it is refused, with its place, where the space is read
    try:
        options = read_value(f"[{call[2]}]", key)
    except JobError:
        return node
    written = [plain(_absolute(Node(option.value, node.place), kind)) for option in options.value]
    domain = f"{call[1]}({', '.join(json.dumps(option, ensure_ascii=False) for option in written)})"
    return _noted(node, Node(domain, node.place), kind, f"search.space.{key}", moved)


def _searched(key: str) -> PathOf | None:
    """What the paths lead to that a key of `search.space` stands for, such as `data.path` or `loss.function.path`."""
    parts = key.split(".")
    axis, last = parts[0], parts[-1]
    field = Training.model_fields.get(axis)
    for cls in component_classes(field.annotation).values() if field else ():
        kind = path_of(cls.model_fields[last]) if last in cls.model_fields else None
        if kind is not None:
            return kind
    return None


def _absolute(node: Node, kind: PathOf) -> Node:
    if isinstance(node.value, list):
        return Node([_absolute(item, kind) for item in node.value], node.place)
    folder = os.getcwd() if kind.what == "results" else _folder(node.place)
    if not isinstance(node.value, str) or folder is None:
        return node
    if kind.what == "run":
        best = BEST.fullmatch(node.value)
        if best is None or "/" not in best["run"]:
            return node
        return Node(f"best:{_joined(folder, best['run'])}:{best['count']}", node.place)
    if kind.what == "code" and ":" not in node.value:
        return node
    return Node(_joined(folder, node.value), node.place)


def _joined(folder: str, path: str) -> str:
    if path.startswith("file:") and is_secret(path):
        return f"file:{_joined(folder, path.removeprefix('file:'))}"
    if not path or is_address(path) or is_secret(path) or os.path.isabs(path):
        return path
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _folder(place: str) -> str | None:
    """The folder to which a path written at a place is relative; None where it is no file."""
    if place in (COMMAND_LINE, MAPPING):
        return os.getcwd()
    file, _, line = place.rpartition(":")
    return os.path.dirname(os.path.abspath(file)) if line.isdecimal() else None


def _noted(before: Node, after: Node, kind: PathOf, path: str, moved: dict[str, Moved]) -> Node:
    if plain(before) != plain(after):
        moved[path] = Moved(kind.what, plain(before), plain(after))
    return after


def _chosen(classes: Mapping[str, type[Component]], node: Node) -> type[Component] | None:
    name = node.value.get("name") if isinstance(node.value, dict) else None
    return classes.get(name.value) if name is not None and isinstance(name.value, str) else None
