"""Reading YAML 1.2 with places."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydnn.errors import JobError, Problem
from raydnn.spec.reading.positions import Positions, plain, positions
from raydnn.spec.reading.source import COMMAND_LINE, read_source, read_value

# YAML 1.2.2, section 10.3.2 (core schema), and what YAML 1.1 would have made of the rest
SCALARS = {
    "1e-3": 1e-3,
    "1.0e+3": 1000.0,
    "-.5": -0.5,
    "5.": 5.0,
    "012": 12,
    "0o17": 15,
    "0x1F": 31,
    "+3": 3,
    "true": True,
    "FALSE": False,
    "~": None,
    "null": None,
    "": None,
    ".inf": math.inf,
    "-.INF": -math.inf,
    "no": "no",
    "yes": "yes",
    "on": "on",
    "y": "y",
    "tRUE": "tRUE",
    "1:30": "1:30",
    "1_000": "1_000",
    "0b11": "0b11",
    "2020-01-01": "2020-01-01",
    "=": "=",
    "'5'": "5",
    '"no"': "no",
    "NaN": "NaN",
    "uniform(0, 1)": "uniform(0, 1)",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    read = read_value(text, "field").value
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(read_value(".nan", "field").value)


def test_an_old_version_directive_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("%YAML 1.1\n---\na: no\nb: 012\n")
    assert plain(read_source(file).root) == {"a": "no", "b": 12}


def test_every_key_and_item_knows_its_line(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("a: &x\n  b: 1\n\n  c:\n    - 1\n    - 2\nd: *x\n")
    where = positions(read_source(file).root)
    lines = {
        path: where.of(path).removeprefix(f"{file}:") for path in ("a", "a.b", "a.c", "a.c.1", "d", "d.b")
    }
    assert lines == {"a": "1", "a.b": "2", "a.c": "4", "a.c.1": "6", "d": "7", "d.b": "2"}


def test_a_place_is_that_of_the_nearest_parent() -> None:
    where = Positions({"": "j:1", "train": "j:2", "search.space": "j:3", "search.space.optimizer.lr": "j:4"})
    assert where.of("train.clip.name") == "j:2"
    assert where.of(("train", "clip")) == "j:2"
    assert where.of("seed") == "j:1"
    assert where.of(("search", "space", "optimizer.lr")) == "j:4"
    assert where.of("search.space.optimizer.sgd.lr") == "j:3"


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    source = read_source(file)
    assert plain(source.root) == {"a": 1, "b": 2}
    assert positions(source.root).of("b") == f"{file}:2"


TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))  # one \\u escape each
KEY = TEXT.filter(str.isprintable).filter(
    lambda key: len(key) <= 150
)  # YAML's implicit keys end at 1024 characters
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
TREE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4),
)


@given(TREE)
def test_json_is_yaml(value: Any) -> None:
    assert plain(read_value(json.dumps(value), "field")) == value


@given(st.text() | st.text(alphabet="a:-?[]{}&*!|>'\"%@`#, \n\t01e.x\\<=~", max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        json.dumps(plain(read_value(text, "field"))).encode()
    except JobError as error:
        problems = error.problems
    assert all(problem.place == COMMAND_LINE and "\n" not in str(problem) for problem in problems)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(JobError, match="storage: half of a surrogate pair"):
        read_value(r'"\ud800"', "storage")
