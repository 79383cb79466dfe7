"""Where every field of a job was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raydnn.spec.reading.source import Node


@dataclass(frozen=True)
class Positions:
    """Dotted path of a field → `FILE:LINE`, or `command line`."""

    by_path: Mapping[str, str]

    def of(self, path: str | Sequence[str | int]) -> str:
        """The place of a field, or of the nearest mapping around it that was written down."""
        dotted = path if isinstance(path, str) else ".".join(map(str, path))
        while dotted and dotted not in self.by_path:
            dotted = dotted.rpartition(".")[0]
        return self.by_path.get(dotted, "")


def positions(root: Node) -> Positions:
    """The positions of a tree of nodes."""
    return Positions(dict(_walk(root, "")))


def plain(node: Node) -> Any:
    """A tree of nodes as plain dicts, lists and scalars."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def _walk(node: Node, path: str) -> Iterator[tuple[str, str]]:
    yield path, node.place
    children: list[tuple[Any, Node]] = []
    if isinstance(node.value, dict):
        children = list(node.value.items())
    elif isinstance(node.value, list):
        children = list(enumerate(node.value))
    for key, child in children:
        yield from _walk(child, f"{path}.{key}" if path else str(key))
