"""Printing: the three formats say the same, and no value steers a terminal or a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydnn.cli.printing.output import print_arrow, print_record, print_table

ROWS = [(1, "adam", 0.25, True, None), (20, "sgd", 1e-7, False, [64, 32])]
COLUMNS = ("rank", "name", "lr", "nesterov", "widths")


def test_table_aligns_numbers_right_and_text_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "rank  name     lr  nesterov  widths"
    assert lines[2] == "   1  adam   0.25  true"
    assert lines[3] == "  20  sgd   1e-07  false     64, 32"


def test_json_is_an_array_of_objects(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, "json")
    assert json.loads(capsys.readouterr().out) == [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def test_csv_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, "csv")
    read = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert read == [
        list(COLUMNS),
        ["1", "adam", "0.25", "true", ""],
        ["20", "sgd", "1e-07", "false", "[64, 32]"],
    ]


@pytest.mark.parametrize("cell", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\tx", '=HYPERLINK("http://x")'])
def test_csv_cells_that_a_spreadsheet_would_run_are_defused(
    capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    print_table(["name", cell], [(cell, -1.5)], "csv")
    header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header[1] == row[0] == f"'{cell}"
    assert row[1] == "-1.5"


def test_table_cells_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a"], [("\x1b[31mred\x1b[0m\n[bold]x[/bold]\r\x07",)], "table")
    out = capsys.readouterr().out
    assert out.count("\n") == 3
    assert not set(out) & {"\x1b", "\r", "\x07"}
    assert "[bold]x[/bold]" in out


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a"], [(float("nan"),), (float("inf"),), ([float("-inf")],)], "json")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == [
        {"a": None},
        {"a": None},
        {"a": [None]},
    ]


def test_arrow_types_become_plain_ones(capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table(
        {
            "at": pa.array([datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            "sum": pa.array([Decimal(7)], pa.decimal128(38, 0)),
            "bytes": pa.array([b"\x01\xff"]),
            "struct": [{"x": 1}],
        }
    )
    print_arrow(table, "json")
    assert json.loads(capsys.readouterr().out) == [
        {"at": "2026-01-02T03:04:05+00:00", "sum": 7, "bytes": "01ff", "struct": {"x": 1}}
    ]


def test_columns_of_the_same_name_are_all_kept(capsys: pytest.CaptureFixture[str]) -> None:
    arrays = [pa.array([number]) for number in range(4)]
    print_arrow(pa.Table.from_arrays(arrays, names=["a", "a", "a_2", "a"]), "json")
    assert json.loads(capsys.readouterr().out) == [{"a": 0, "a_3": 1, "a_2": 2, "a_4": 3}]


def test_no_rows_leave_the_headings(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "bc"], [], "table")
    assert capsys.readouterr().out.splitlines()[0] == "a  bc"
    print_table(["a", "bc"], [], "json")
    assert json.loads(capsys.readouterr().out) == []


def test_a_record_leaves_nulls_out_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_record({"state": "RUNNING", "error": None}, "table")
    assert "error" not in capsys.readouterr().out
    print_record({"state": "RUNNING", "error": None}, "json")
    assert json.loads(capsys.readouterr().out) == {"state": "RUNNING", "error": None}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.text(), st.floats(), st.integers() | st.none()), max_size=4))
def test_every_row_stays_one_row(capsys: pytest.CaptureFixture[str], rows: list[tuple[object, ...]]) -> None:
    rows = [(str(row[0]).encode("utf-8", "ignore").decode(), *row[1:]) for row in rows]
    capsys.readouterr()
    print_table(["t", "f", "i"], rows, "table")
    assert len(capsys.readouterr().out.split("\n")) == len(rows) + 3
    print_table(["t", "f", "i"], rows, "json")
    assert len(json.loads(capsys.readouterr().out)) == len(rows)
    print_table(["t", "f", "i"], rows, "csv")
    assert len(list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))) == len(rows) + 1
