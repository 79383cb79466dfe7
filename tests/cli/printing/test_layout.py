"""Tables fit the terminal, and what is copied from them is whole."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydnn.cli.printing.layout import record_lines, table_lines, wrapped
from raydnn.cli.printing.output import cell
from raydnn.cli.printing.terminal import width

RUN_ID = "a-name-of-a-job-20260101-120000-1a2b"
NAMES = ("run_id", "state", "trials", "epochs", "best", "metric", "started_at")
ROW = (RUN_ID, "FINISHED", "12 completed, 3 failed", "150", "0.123 (t00003)", "validation_loss", "noon")
NUMERIC = (False, False, False, True, False, False, False)
WORDS = st.lists(st.text("ab東é", min_size=1, max_size=12), min_size=1, max_size=8).map(" ".join)


@pytest.mark.parametrize("columns", [200, 120, 80, 40, 20])
def test_an_id_is_never_broken(columns: int) -> None:
    lines = list(table_lines(NAMES, [ROW], NUMERIC, columns))
    assert sum(RUN_ID in line for line in lines) == 1
    assert sum("t00003" in line for line in lines) == 1
    assert all(width(line) <= columns or line in (RUN_ID, "  validation_loss") for line in lines)
    shown = " ".join(" ".join(lines).split())
    assert all(value in shown for value in ("FINISHED", "150", "noon"))


def test_a_pipe_gets_a_line_a_row() -> None:
    lines = list(table_lines(NAMES, [ROW, ROW], NUMERIC, None))
    assert len(lines) == 4
    assert lines[2] == lines[3]


@pytest.mark.parametrize("columns", [80, 40, 10])
def test_a_records_words_are_never_broken(columns: int) -> None:
    uri = "/home/user/results/" + RUN_ID
    lines = list(record_lines([("field", "value"), ("uri", uri), ("error", "some words " * 9)], columns))
    assert sum(uri in line for line in lines) == 1
    assert " ".join(" ".join(lines).split()).count("some words") == 9


@given(st.lists(st.tuples(WORDS, WORDS, st.integers().map(str)), min_size=1, max_size=4), st.integers(4, 90))
def test_folding_loses_nothing(rows: list[tuple[str, str, str]], columns: int) -> None:
    names, numeric = ("some_id", "text", "number"), (False, False, True)
    lines = list(table_lines(names, rows, numeric, columns))
    shown = "".join(lines).replace(" ", "")
    assert all(len(shown) >= len("".join(row).replace(" ", "")) for row in rows)
    assert all(any(row[0] in line for line in lines) for row in rows)


@given(WORDS, st.integers(2, 30))
def test_wrapped_lines_fit(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_times_say_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert cell(datetime(2026, 1, 1, 12, tzinfo=UTC)) == "2026-01-01 17:30:00+05:30"
        assert cell(datetime(2026, 1, 1, 12)) == "2026-01-01 12:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()
