from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydnn.data.sources.csv import load_csv
from raydnn.data.sources.raw import Raw
from raydnn.errors import DataError, JobError, RaydnnError
from raydnn.spec.data import Csv


def load(folder: Path, text: str | bytes, test: str | None = None, **fields: Any) -> Raw:
    (folder / "train.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    if test is not None:
        (folder / "test.csv").write_text(test)
        fields["test_path"] = str(folder / "test.csv")
    return load_csv(Csv(path=str(folder / "train.csv"), **{"target": "y", **fields}))


def test_text_labels_are_numbered_in_sorted_order(tmp_path: Path) -> None:
    raw = load(tmp_path, "a,y,b\n1,dog,2\n3, cat ,4e-1\n-5,NA,6\n", "b,a,y\n1,2,cat\n")
    assert raw.test is not None
    assert raw.train.inputs.tolist() == [[1, 2], [3, np.float32(0.4)], [-5, 6]]
    assert raw.train.targets.tolist() == [2, 1, 0]
    assert (raw.test.inputs.tolist(), raw.test.targets.tolist()) == ([[2, 1]], [1])
    assert (raw.classes, raw.task) == (3, "classification")


def test_integer_labels_are_the_class_numbers(tmp_path: Path) -> None:
    raw = load(tmp_path, "y,a\n2,0\n0,0\n10,0\n" + "".join(f"{k},0\n" for k in range(10)))
    assert raw.train.targets.tolist() == [2, 0, 10, *range(10)]
    assert raw.class_names is None
    assert raw.train.targets.dtype == np.int64
    assert raw.classes == 11


def test_regression_targets_are_numbers(tmp_path: Path) -> None:
    raw = load(tmp_path, "y,a\n1.5,0\n-2,0\n", kind="regression")
    assert raw.train.targets.tolist() == [[1.5], [-2]]
    assert raw.train.targets.dtype == np.float64  # until they are scaled
    assert raw.classes == 0


def test_binary_targets_hold_two_classes(tmp_path: Path) -> None:
    raw = load(tmp_path, "y,a\nno,0\nyes,0\nno,1\n", kind="binary")
    assert (raw.classes, raw.task, raw.train.targets.tolist()) == (2, "binary", [0, 1, 0])
    with pytest.raises(DataError, match="column 'y': holds 3 classes; kind: binary needs two"):
        load(tmp_path, "y,a\nno,0\nyes,0\nmaybe,1\n", kind="binary")


@pytest.mark.parametrize("test", ["a,y\n5,0\n", "y,a,w\n0,5,9\n"], ids=["without", "with weights"])
def test_a_column_of_weights_is_no_feature(tmp_path: Path, test: str) -> None:
    raw = load(tmp_path, "a,w,y\n1,0.5,0\n2,3,1\n", test, weights="w")
    assert raw.test is not None
    assert raw.train.weights is not None
    assert raw.train.inputs.tolist() == [[1], [2]]
    assert raw.train.weights.tolist() == [0.5, 3]
    assert (raw.test.inputs.tolist(), raw.test.weights) == ([[5]], None)


def test_bad_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'w', line 3: -3\.0 is given; a weight is at least 0"):
        load(tmp_path, "a,w,y\n1,0.5,0\n2,-3,1\n", weights="w")
    with pytest.raises(JobError, match=r"data\.weights: 'v' is given; .* has the columns a, w, y"):
        load(tmp_path, "a,w,y\n1,0.5,0\n2,3,1\n", weights="v")
    with pytest.raises(JobError, match=r"data\.weights: 'y' is the target"):
        load(tmp_path, "a,w,y\n1,0.5,0\n2,3,1\n", weights="y")
    with pytest.raises(DataError, match="'y' is the only column"):
        load(tmp_path, "w,y\n0.5,0\n3,1\n", weights="w")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_numbers_come_back_exactly(tmp_path: Path, rows: list[tuple[float, bool]]) -> None:
    text = "a,y\n" + "".join(f"{number!r},{label}\n" for number, label in [*rows, (0.0, True), (0.0, False)])
    raw = load(tmp_path, text)
    assert raw.train.inputs[:-2, 0].tolist() == [number for number, _ in rows]
    assert raw.train.targets[:-2].tolist() == [int(label) for _, label in rows]


GOOD = "a,y\n1,0\n2,1\n"
BAD: dict[str, tuple[str | bytes, str | None, dict[str, Any], str]] = {
    "empty": ("", None, {}, "train.csv: is empty"),
    "header only": ("a,y\n", None, {}, "train.csv: there is a header but no row"),
    "ragged": ("a,y\n1,0\n1,2,3\n", None, {}, "train.csv, line 3: has 3 values; 2 are needed"),
    "binary": (b"a,y\n1,\0\xfe\n2,0\n", None, {}, "train.csv: looks like binary content"),
    "not utf-8": (b"a,y\n1,\xfe\n2,0\n", None, {"encoding": "utf-8"}, "csv, line 2: is not written in utf-8"),
    "twice": ("a,a,y\n1,1,0\n", None, {}, "train.csv: column 'a' stands in the header more than once"),
    "text": ("a,y\n1,0\n1,0\none,1\n", None, {}, "train.csv, column 'a', line 4: 'one' is given; a number"),
    "missing": ("a,b,y\n1,1,0\n1,,1\n", None, {}, "train.csv, column 'b', line 3: the value is missing"),
    "missing label": ("a,y\n1,\n", None, {}, "train.csv, column 'y', line 2: the value is missing"),
    "NaN": ("a,y\n1,0\nNaN,1\n", None, {}, "train.csv, column 'a', line 3: NaN is given; only finite"),
    "too large": (
        "a,y\n1,0\n1e300,1\n",
        None,
        {},
        "column 'a', line 3: 1e300 is given; too large: numbers up to 3.4e\\+38",
    ),
    "one class": ("a,y\n1,x\n1,x\n", None, {}, "column 'y': every label is x; at least two classes"),
    "no feature": ("y\n1\n0\n", None, {}, "train.csv: 'y' is the only column"),
    "target": (
        GOOD,
        None,
        {"target": "yy"},
        r"^data.target: 'yy' is given; .* columns a, y. Did you mean 'y'\?",
    ),
    "regression": ("a,y\n1,x\n", None, {"kind": "regression"}, "column 'y', line 2: 'x' is given; a number"),
    "infinite": ("a,y\n1,inf\n", None, {"kind": "regression"}, "column 'y', line 2: inf is given"),
    "test columns": (GOOD, "a,z\n1,0\n", {}, "test.csv: column 'y' is not in both"),
    "test label": (GOOD, "a,y\n1,2\n", {}, "test.csv, column 'y', line 2: label 2 is given; with 2 classes"),
    "test text": (
        GOOD,
        "a,y\n1,0\n1,q\n",
        {},
        "test.csv, column 'y', line 3: label 'q' does not occur in the training data; it has 0, 1",
    ),
    "test name": (
        "a,y\n1,cat\n1,dog\n",
        "a,y\n1,dog\n1,cats\n",
        {},
        r"test.csv, column 'y', line 3: label 'cats' does not occur .* Did you mean 'cat'\?",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_file_and_line(tmp_path: Path, case: str) -> None:
    text, test, fields, message = BAD[case]
    with pytest.raises(RaydnnError, match=message) as error:
        load(tmp_path, text, test, **fields)
    assert isinstance(error.value, JobError if case == "target" else DataError)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "nowhere.csv", "there is no such file"), (tmp_path, "is a folder")):
        with pytest.raises(DataError, match=f"^{path}: {message}") as error:
            load_csv(Csv(path=str(path), target="y"))
        assert "\n" not in str(error.value)
