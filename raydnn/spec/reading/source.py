"""Job text → a tree of plain values that know where they stand; YAML 1.2, and nothing but plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.reader import ReaderError

from raydnn.errors import JobError, Problem, nearest

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 100_000
"""Values in a file after its aliases are expanded."""

COMMAND_LINE = "command line"
MAPPING = "job"
"""The place of all that stands in a mapping given from Python."""

_CORE_SCHEMA = (
    (re.compile(r"null|Null|NULL|~|"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]{1,4000}"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda text: float("nan")),
)
"""YAML 1.2's core schema (section 10.3.2): plain scalars and what they mean; all else is text."""

_TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null", "timestamp", "merge", "value")
}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Node:
    """A value and its place: a scalar, a list of nodes, or a dict of nodes by key."""

    value: Any
    place: str


@dataclass(frozen=True)
class Source:
    """A job file as it was read."""

    path: Path
    text: str
    root: Node
    problems: tuple[Problem, ...]
    """What is wrong but leaves the rest readable, such as a key that occurs twice."""


def read_source(path: Path, *, named_at: str = "") -> Source:
    """Read one job file.

    Args:
        path: The file.
        named_at: Place of the `extends` that names it, for the error when it does not exist.

    Raises:
        JobError: The file is missing, too large, not UTF-8, or not a YAML mapping.
    """
    text = _read_text(path, named_at)
    composed = _compose(text, str(path))
    if composed is None:
        raise _error(f"{path}:1", "the file is empty; allowed: a mapping of fields")
    tree = _Tree(str(path))
    root = tree.node(composed, ())
    if not isinstance(root.value, dict):
        raise _error(root.place, "the top level is not a mapping; allowed: a mapping of fields")
    return Source(path, text, root, tuple(tree.problems))


def read_value(text: str, field: str) -> Node:
    """Read the value of an override; every place in it is the command line.

    Raises:
        JobError: The value is not YAML.
    """
    composed = _compose(text, COMMAND_LINE, field)
    if composed is None:
        return Node(None, COMMAND_LINE)
    tree = _Tree(COMMAND_LINE, field)
    node = tree.node(composed, ())
    if tree.problems:
        raise JobError(tree.problems)
    return node


def _read_text(path: Path, named_at: str) -> str:
    place = named_at or str(path)
    field = "extends" if named_at else ""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        siblings = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise _error(place, f"there is no file {path}.{nearest(path.name, siblings)}", field) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _error(place, f"{str(path)!r} cannot be read: {reason}", field) from None
    if len(content) > MAX_BYTES:
        line = content.count(b"\n") + 1
        raise _error(f"{path}:{line}", f"the file is larger than {MAX_BYTES:,} bytes; allowed: up to 1 MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _error(
            f"{path}:{line}", f"byte 0x{content[error.start]:02x} is not UTF-8; allowed: UTF-8 text"
        ) from None


class _ShallowComposer(Composer):
    """Composes nodes, but never deeper than MAX_DEPTH, so that no text can exhaust the Python stack."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            event = self.parser.peek_event()
            raise _TooDeepError(problem_mark=event.start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _TooDeepError(MarkedYAMLError):
    pass


def _compose(text: str, file: str, field: str = "") -> YamlNode | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _ShallowComposer
    try:
        composed: YamlNode | None = yaml.compose(text)
        return composed
    except _TooDeepError as error:
        message = f"nested deeper than {MAX_DEPTH} levels; allowed: up to {MAX_DEPTH}"
        raise _error(_place(file, error.problem_mark.line), message, field) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(_place(file, mark.line if mark else 0), _syntax_message(error), field) from None
    except ReaderError as error:
        line = text[: error.position].count("\n")
        message = f"character U+{_code_point(error.character):04X} is not allowed in YAML"
        raise _error(_place(file, line), message, field) from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise _error(_place(file, 0), f"not YAML: {str(error).splitlines()[0]}", field) from None


def _syntax_message(error: MarkedYAMLError) -> str:
    problem = str(error.problem or error.context or "syntax error").splitlines()[0]
    if "'\\t'" in problem:
        return "a tab; allowed: spaces for indentation"
    if "another document" in problem:
        return "a second document begins; allowed: one document in a file"
    return f"not YAML: {problem}"


def _code_point(character: int | str) -> int:
    return character if isinstance(character, int) else ord(character)


def _place(file: str, line: int) -> str:
    return file if file == COMMAND_LINE else f"{file}:{line + 1}"


def _error(place: str, message: str, field: str = "") -> JobError:
    return JobError([Problem(place, field, message)])


class _Tree:
    """Turns composed YAML into nodes and collects what is wrong on the way."""

    def __init__(self, file: str, field: str = "") -> None:
        self.file = file
        self.field = field
        self.problems: list[Problem] = []
        self.values = 0

    def node(self, composed: YamlNode, path: tuple[str, ...]) -> Node:
        place = _place(self.file, composed.start_mark.line)
        self.values += 1
        if self.values > MAX_VALUES:
            raise _error(place, f"more than {MAX_VALUES:,} values once its aliases are expanded", self.field)
        if len(path) > MAX_DEPTH:
            raise _error(place, "an alias contains itself; allowed: aliases of finished values", self.field)
        if isinstance(composed, MappingNode):
            return Node(dict(self._items(composed, path)), place)
        if isinstance(composed, SequenceNode):
            items = [self.node(item, (*path, str(number))) for number, item in enumerate(composed.value)]
            return Node(items, place)
        return Node(self._scalar(composed, path), place)

    def _items(self, composed: MappingNode, path: tuple[str, ...]) -> Iterator[tuple[str, Node]]:
        lines: dict[str, int] = {}
        for key_node, value_node in composed.value:
            line = key_node.start_mark.line
            key = self._scalar(key_node, path) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str) or not key.isprintable():
                given = (
                    f"the key {key!r}" if isinstance(key_node, ScalarNode) else "a list or mapping as a key"
                )
                self._problem(line, path, f"{given} is not a name; allowed: names of fields")
                continue
            if key in lines:
                first = _place(self.file, lines[key])
                self._problem(line, (*path, key), f"the key occurs twice, first at {first}; allowed: once")
                continue
            lines[key] = line
            child = self.node(value_node, (*path, key))
            yield key, Node(child.value, _place(self.file, line))

    def _scalar(self, composed: YamlNode, path: tuple[str, ...]) -> Any:
        text = str(composed.value)
        if _HALF_CHARACTER.search(text):
            message = "half of a surrogate pair (\\uD800 to \\uDFFF); allowed: whole characters"
            self._problem(composed.start_mark.line, path, message)
        if composed.tag == _TEXT:
            return text
        if composed.tag not in _TAGS:
            self._problem(
                composed.start_mark.line, path, f"the tag {composed.tag}; allowed: values without tags"
            )
            return text
        for pattern, meaning in _CORE_SCHEMA:
            if pattern.fullmatch(text):
                return meaning(text)
        return text

    def _problem(self, line: int, path: tuple[str, ...], message: str) -> None:
        field = ".".join((*([self.field] if self.field else []), *path))
        self.problems.append(Problem(_place(self.file, line), field, message))
