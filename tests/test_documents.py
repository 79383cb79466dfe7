"""What the documents name is there: links, files, and the functions on the ways through the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = [ROOT / name for name in ("raydnn", "jobs", "tests", "cluster")]
DOCUMENTS = [ROOT / "README.md", *sorted(path for folder in FOLDERS for path in folder.rglob("README.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_exist(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (document.parent / target).exists(), target
    for path in re.findall(r"`((?:raydnn|tests|jobs|cluster)/[\w/.-]+)", text):
        assert (ROOT / path).exists(), path


NAMED = re.compile(r"`([\w/]+\.py)`((?: `[\w.]+`)*)")
"""A file and names in it; paths are those in the package, or begin with `tests/`."""


def _steps(text: str) -> Iterator[tuple[Path, list[str]]]:
    for line in re.findall(r"^\d+\. (.*(?:\n   .*)*)", text, re.MULTILINE):
        for path, names in NAMED.findall(line):
            above = ROOT if path.startswith("tests/") else ROOT / "raydnn"
            yield above / path, re.findall(r"`([\w.]+)`", names)


def _defined(path: Path) -> set[str]:
    """All names that a file defines at its top, and the methods of its classes."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)
            }
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_each_way_through_the_package_is_there() -> None:
    text = (ROOT / "raydnn" / "README.md").read_text()
    ways = re.findall(r"^### (.*?)\n\n((?:\d+\. .*\n)+)", text, re.MULTILINE)
    assert [(title, len(way.splitlines())) for title, way in ways] == [
        ("A trial's learning rate", 10),
        ("A stack's rows", 10),
        ("A verdict", 10),
    ]
    for path, names in _steps(text):
        assert path.is_file(), path
        assert set(names) <= _defined(path), (path, names)


def test_the_first_document_is_short_and_names_all_others() -> None:
    text = DOCUMENTS[0].read_text()
    assert len(text.splitlines()) < 200
    assert len(DOCUMENTS) > 1
    assert [path for path in DOCUMENTS[1:] if f"]({path.relative_to(ROOT)})" not in text] == []
