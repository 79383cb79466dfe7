"""CSV as it is in the world, against what was written and what pandas reads."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydnn.data.csv import arrow as csv_arrow
from raydnn.data.sources.csv import load_csv
from raydnn.data.sources.raw import Raw
from raydnn.errors import DataError, JobError, RaydnnError
from raydnn.spec.data import Csv

PLAIN = "a,b,y\n1.5,-2,no\n0.25,3e2,yes\n7,0,no\n"
MANY = PLAIN.encode() + b"".join(b"%d,%d,no\n" % (n * n, n**3 % 1009) for n in range(20_000))
INPUTS = [[1.5, -2.0], [0.25, 300.0], [7.0, 0.0]]


def load(folder: Path, content: str | bytes, **fields: Any) -> Raw:
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_csv(Csv(path=str(path), **{"target": "y", **fields}))


def zstd(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)  # type: ignore[no-any-return]


FORMS: dict[str, str | bytes] = {
    "plain": PLAIN,
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "decimal commas": PLAIN.replace(",", ";").replace(".", ","),
    "declared separator": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "byte order mark": "\ufeff" + PLAIN,
    "utf-16": PLAIN.encode("utf-16"),
    "windows": PLAIN.replace("\n", "\r\n"),
    "old mac": PLAIN.replace("\n", "\r"),
    "quoted": '"a","b","y"\n"1.5","-2","no"\n"0.25","3e2","yes"\n"7","0","no"\n',
    "spaces": " a , b ,y\n 1.5, -2 , no\n0.25 ,3e2 ,yes\n7,0,no \n",
    "blank lines": "\n\n" + PLAIN.replace("7,", "\n   \n7,") + "\n\n  \n",
    "empty rows at the end": PLAIN + ",,\n,,\n",
    "separators at the end": PLAIN.replace("\n", ",\n"),
    "separators at the end of rows": "a,b,y\n" + PLAIN[6:].replace("\n", ",\n"),
    "comments before": "# made by hand\n# units: m, s\n" + PLAIN,
    "row index": ",a,b,y\n0,1.5,-2,no\n1,0.25,3e2,yes\n2,7,0,no\n",
    "row names of R": '"a","b","y"\n"r1",1.5,-2,"no"\n"r2",0.25,3e2,"yes"\n"r3",7,0,"no"\n',
    "saved index": "Unnamed: 0,a,b,y\n0,1.5,-2,no\n1,0.25,3e2,yes\n2,7,0,no\n",
    "gzip": gzip.compress(PLAIN.encode()),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "zstd": zstd(PLAIN.encode()),
    "gzip of semicolons": gzip.compress(PLAIN.replace(",", ";").encode("utf-16")),
    "no line end": PLAIN.rstrip(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_the_same_however_it_is_written(tmp_path: Path, form: str) -> None:
    raw = load(tmp_path, FORMS[form])
    assert raw.train.inputs.tolist() == INPUTS
    assert raw.train.targets.tolist() == [0, 1, 0]
    assert raw.class_names == ("no", "yes")
    assert raw.feature_names == ("a", "b")


TOLD = {
    "empty rows at the end": "2 rows at the end without any value are left out",
    "separators at the end": "column 4 has no name and is left out",
    "comments before": "2 lines before the header that begin with # are left out",
    "row index": "column 1 has no name, a row index as pandas writes it, and is left out",
    "saved index": "column 1 has no name",
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_left_out_is_told(tmp_path: Path, form: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        load(tmp_path, FORMS[form])
    messages = [str(each.message) for each in told]
    expected = TOLD.get(form)
    if expected:
        assert any(expected in message for message in messages)
    elif "row names" not in form and "end of rows" not in form:
        assert messages == []


def test_other_encodings_are_told(tmp_path: Path) -> None:
    content = "größe,y\n1,ja\n2,näin\n".encode("cp1252")
    with pytest.warns(UserWarning, match=r"t\.csv: is not UTF-8; read as cp1252"):
        raw = load(tmp_path, content)
    assert raw.feature_names == ("größe",)
    assert raw.class_names == ("ja", "näin")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(tmp_path, content, encoding="latin-1").class_names == ("ja", "näin")
        assert load(tmp_path, "ф,y\n1,да\n2,нет\n".encode("koi8-r"), encoding="koi8-r").class_names == (
            "да",
            "нет",
        )


def test_an_encoding_that_shows_late_is_found(tmp_path: Path) -> None:
    rows = "a,y\n" + "1,x\n2,yy\n" * 300_000
    with pytest.warns(UserWarning, match="read as cp1252"):
        raw = load(tmp_path, rows.encode() + "3,größe\n".encode("cp1252") * 2)
    assert raw.class_names == ("größe", "x", "yy")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    separator=st.sampled_from(",;\t|"),
    ends=st.sampled_from(["\n", "\r\n"]),
    rows=st.lists(
        st.tuples(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            st.text('ab \n\r",;|\tä', min_size=1, max_size=12).filter(lambda text: text.strip('" \n\r\t')),
        ),
        min_size=3,
        max_size=30,
    ),
    block_bytes=st.integers(64, 600),
)
def test_quoted_values_hold_anything_wherever_a_block_ends(
    tmp_path: Path,
    separator: str,
    ends: str,
    rows: list[tuple[float, str]],
    block_bytes: int,
) -> None:
    rows = [*rows, (0.0, "one"), (1.0, "two")]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=ends, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "y"])
    writer.writerows((repr(number), label) for number, label in rows)
    read = pytest.MonkeyPatch()
    whole = csv_arrow.pacsv.ReadOptions
    read.setattr(csv_arrow.pacsv, "ReadOptions", lambda **how: whole(**{**how, "block_size": block_bytes}))
    read.setattr(csv_arrow, "LARGEST_BLOCK_BYTES", 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = load(tmp_path, text.getvalue(), separator=separator)
    finally:
        read.undo()
    assert raw.train.inputs[:, 0].tolist() == [number for number, _ in rows]
    assert raw.class_names is not None
    labels = [raw.class_names[number] for number in raw.train.targets]
    assert [str(label) for label in labels] == [plain(label) for _, label in rows]


def plain(label: str) -> str:
    label = label.strip()
    return label.strip('"').strip() if label[:1] == '"' else label


@pytest.mark.parametrize("columns", [20_001, 40_000])
def test_a_header_longer_than_a_block_is_read(tmp_path: Path, columns: int) -> None:
    names = [f"column_{number}" for number in range(columns)]
    row = ",".join(["1"] * columns)
    raw = load(tmp_path, f"{','.join(names)},y\n{row},0\n{row},1\n", separator=",")
    assert raw.train.inputs.shape == (2, columns)
    assert raw.feature_names == tuple(names)


def test_a_value_longer_than_a_block_is_read(tmp_path: Path) -> None:
    label = "x" * 3_000_000
    raw = load(tmp_path, f"a,y\n1,b\n2,{label}\n" + "3,b\n" * 10)
    assert raw.class_names == ("b", label)


def test_booleans_are_numbers_as_features(tmp_path: Path) -> None:
    raw = load(tmp_path, "a,b,y\nTrue,1,x\nfalse,2,z\nTRUE,3,x\n")
    assert raw.train.inputs.tolist() == [[1, 1], [0, 2], [1, 3]]


LINES: dict[str, tuple[str, str]] = {
    "quoted line ends": ('a,b,y\n1,2,"x\nz"\n\n3,oops,"x"\n', "column 'b', line 5: 'oops' is given"),
    "a quoted header": ('"a\na",b,y\n1,2,x\n3,,z\n', "column 'b', line 4: the value is missing"),
    "comments": ("# one\n# two\na,b,y\n1,2,x\n3,nan,z\n", "column 'b', line 5: nan is given"),
    "windows": ("a,b,y\r\n1,2,x\r\n\r\n3,4\r\n", "line 4: has 2 values; 3 are needed"),
    "blank": ("\n\na,b,y\n1,2,x\n   \n3,1e39,z\n", r"column 'b', line 6: 1e39 is given; too large"),
    "comment between": ("a,b,y\n1,2,x\n# half\n3,4,z\n", "line 3: begins with #; comments"),
    "thousands": (
        'a,b,y\n1,"1,234.5",x\n2,3,z\n',
        "line 2: '1,234.5' is given; a number is needed; thousands separators are not read",
    ),
    "decimal comma": ('a,b,y\n1,"1,5",x\n2,3,z\n', "line 2: '1,5' is given; .*data.decimal: ',' reads"),
    "unit": (
        "a,b,y\n1,20 °C,x\n2,3,z\n5,3,z\n",
        "line 2: '20 °C' is given; a number is needed, without a unit",
    ),
    "price": (
        "a,b,y\n1,$20,x\n2,3,z\n5,3,z\n",
        r"line 2: '\$20' is given; a number is needed, without a unit",
    ),
    "quote never closed": (
        'a,b,y\n1,2,x\n"3,4,z\n5,6,x\n',
        "line 3: has 1 values; .* is a quote never closed",
    ),
    "id": ("a,b,y\n1,u1,x\n2,u2,z\n3,u3,x\n", "'u1' is given; .*different text in every row: an id"),
    "underflowing text": ("a,b,y\n1,1e400,x\n2,3,z\n", "column 'b', line 2: 1e400 is given; too large"),
}


@pytest.mark.parametrize("case", LINES)
def test_lines_are_those_of_an_editor(tmp_path: Path, case: str) -> None:
    text, message = LINES[case]
    with pytest.raises(DataError, match=rf"t\.csv,? ?.*{message}") as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + b"\0" * 30 + b"xl/workbook.xml", "looks like an Excel workbook"),
        (b"PK\x03\x04" + b"\0" * 30, "looks like a zip archive"),
        (b"PAR1" + b"\0" * 30, "looks like a Parquet file"),
        (b'{"a": 1}', "looks like JSON"),
        (b'[\n {"a": 1}]', "looks like JSON"),
        (b"<!DOCTYPE html><html>Sign in</html>", "looks like HTML"),
        (b"\x80\x04\x95abc", "looks like a Python pickle"),
        (bytes(range(256)) * 20, "looks like binary content"),
        (b"", "is empty"),
        (b"  \n\n ", "is empty"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-12], "truncated"),
        (gzip.compress(MANY, mtime=0)[:-200], "truncated|cannot be read"),
        (lzma.compress(MANY)[:-50], "truncated|cannot be read"),
        (gzip.compress(b"", mtime=0), "is empty"),
    ],
)
def test_what_is_no_csv_file_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv: .*{message}") as error:
        load(tmp_path, content)
    assert "\n" not in str(error.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["", "a,y\n1,0\n", "a;y\n1,5;x\n2;z\n"]))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path: Path, content: bytes, before: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            load(tmp_path, before.encode() + content)
        except RaydnnError as error:
            message = str(error)
        else:
            message = "read"
    assert message
    assert "\n" not in message


def test_what_is_written_in_the_job_is_not_looked_for(tmp_path: Path) -> None:
    raw = load(tmp_path, "a:y\n1,5:0\n2:1\n", separator=":", decimal=",")
    assert raw.train.inputs.tolist() == [[1.5], [2]]
    raw = load(tmp_path, 'a,y\n"1,5",0\n2,1\n', decimal=",")
    assert raw.train.inputs.tolist() == [[1.5], [2]]
    with pytest.raises(JobError, match=r"'y' is given; .* has the columns a,y"):
        load(tmp_path, PLAIN.replace("b,", ""), separator=";")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5,1.5,2\n1,2,0\n", r"columns 0\.5, 1\.5, 2\. They are all numbers: is the header missing\?"),
        (
            "a b y\n1 2 0\n",
            r"columns a b y\. The separator was taken to be `,`; data\.separator says another",
        ),
    ],
)
def test_a_target_that_is_not_found_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        load(tmp_path, text)


def test_large_tables_are_as_pandas_reads_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(30_000, 12)), columns=[f"x{n}" for n in range(12)])
    frame["y"] = random.integers(0, 3, 30_000)
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    raw = load_csv(Csv(path=str(tmp_path / "t.csv.gz"), target="y"))
    expected = pd.read_csv(tmp_path / "t.csv.gz")
    assert raw.train.inputs.dtype == np.float32
    assert np.array_equal(raw.train.inputs, expected.iloc[:, :-1].to_numpy(np.float32))
    assert np.array_equal(raw.train.targets, expected["y"])


def test_a_file_that_unpacks_to_more_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydnn.data.sources.files.free_memory_bytes", lambda: 4 * 2**20)
    bomb = gzip.compress(b"a,y\n" + b"0,0\n" * 2_000_000)
    assert len(bomb) < 20_000
    with pytest.raises(DataError, match=r"t\.csv: unpacks to more than 0\.0 GiB"):
        load(tmp_path, bomb)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"separator": ",,"}, "separator"),
        ({"separator": '"'}, "separator"),
        ({"encoding": "utf-99"}, "an encoding that Python knows"),
        ({"encoding": "base64"}, "an encoding that Python knows"),
        ({"separator": ",", "decimal": ","}, "both ','; they must differ"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Csv(path="x", target="y", **fields)
