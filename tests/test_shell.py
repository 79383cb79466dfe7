"""Printed commands come back from a shell as the words they were made of."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydnn.cli.commands.init import JOB, SWEEP
from raydnn.cli.main import COMMANDS
from raydnn.shell import command

PACKAGE = Path(__file__).parents[1] / "raydnn"
MODULES = sorted(PACKAGE.rglob("*.py"))

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(WORDS, max_size=4))
def test_a_shell_reads_the_words_again(words: list[str]) -> None:
    assert shlex.split(command(*words)) == ["raydnn", *words]


def test_what_needs_no_quotes_has_none() -> None:
    text = command("train", "--resume", "s3://bucket/my-run_1.2")
    assert text == "raydnn train --resume s3://bucket/my-run_1.2"


def _printed(tree: ast.AST) -> Iterator[str]:
    """The texts of a module that are no docstrings; what a formatted one fills in stands as `{}`."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documented | inside
        ):
            yield node.value


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_command_is_printed_but_by_the_function(module: Path) -> None:
    command_line = re.compile(rf"\braydnn (\{{|-|(?:{'|'.join(COMMANDS)})\b)")
    printed = [text for text in _printed(ast.parse(module.read_text())) if command_line.search(text)]
    # The version; and what `init` writes, files with comments of fixed words.
    assert [text for text in printed if text not in ("raydnn {}", JOB, SWEEP)] == []
