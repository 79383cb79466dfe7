"""What labels mean, and what classes are called."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydnn.data.load import load_dataset
from raydnn.data.sources.csv import load_csv
from raydnn.data.sources.npz import load_npz
from raydnn.data.sources.raw import Raw
from raydnn.errors import DataError, JobError
from raydnn.spec.data import Csv, Npz


def load(folder: Path, labels: list[str], test: list[str] | None = None, **fields: Any) -> Raw:
    for name, given_labels in (("train", labels), ("test", test or [])):
        rows = "".join(f"{number * 7 % 5}.5;{label}\n" for number, label in enumerate(given_labels))
        (folder / f"{name}.csv").write_text(f"a;y\n{rows}")
    if test is not None:
        fields["test_path"] = str(folder / "test.csv")
    return load_csv(Csv(path=str(folder / "train.csv"), **{"target": "y", **fields}))


CASES: dict[str, tuple[list[str], tuple[Any, ...] | None, list[int]]] = {
    "one number in several words": (["0", "1.0", "1", "01", "0.0", "1e0"], None, [0, 1, 1, 1, 0, 1]),
    "numbers by size": (["10.0", "2.0", "9", "10"], (2, 9, 10), [2, 0, 1, 2]),
    "numbers from 1": (["1", "2", "3", "2"], (1, 2, 3), [0, 1, 2, 1]),
    "negative numbers": (["-1", "1", "-1", "+1"], (-1, 1), [0, 1, 0, 1]),
    "with gaps": (["100", "0", "7", "7"], (0, 7, 100), [2, 0, 1, 1]),
    "counting from 0": (["1", "0", "2", "2.0"], None, [1, 0, 2, 2]),
    "booleans": (["True", "false", "TRUE", "False"], (False, True), [1, 0, 1, 0]),
    "codes": (["007", "010", "007", "1"], ("1", "007", "010"), [1, 2, 1, 0]),
    "codes from 0": (["00", "01", "00"], ("00", "01"), [0, 1, 0]),
    "texts": (["dog", "cat", "NA", "cat"], ("NA", "cat", "dog"), [2, 1, 0, 1]),
    "numbers and texts": (["2", "old", "10", "2.0"], ("2", "10", "old"), [0, 2, 1, 0]),
    "beyond a float": (["9007199254740993", "9007199254740992"], (2**53, 2**53 + 1), [1, 0]),
}


@pytest.mark.parametrize("case", CASES)
def test_labels_are_what_they_mean(tmp_path: Path, case: str) -> None:
    labels, names, numbers = CASES[case]
    raw = load(tmp_path, labels, labels)
    assert raw.test is not None
    assert raw.train.targets.tolist() == raw.test.targets.tolist() == numbers
    assert raw.class_names == names
    assert raw.classes == len(set(numbers))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=40).filter(lambda labels: len(set(labels)) > 1))
def test_integers_in_any_spelling_are_numbered_by_size(tmp_path: Path, labels: list[int]) -> None:
    spelled = [(f"{label}", f"{label}.0", f"{label}e0")[n % 3] for n, label in enumerate(labels)]
    order = sorted(set(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = load(tmp_path, spelled)
    assert raw.train.targets.tolist() == [order.index(label) for label in labels]


def test_decimal_commas_are_numbers_among_labels_too(tmp_path: Path) -> None:
    rows = "".join(f"{n},5;{label}\n" for n, label in enumerate(["1,0", "2", "1", "2,0"]))
    (tmp_path / "t.csv").write_text(f"a;y\n{rows}")
    raw = load_csv(Csv(path=str(tmp_path / "t.csv"), target="y"))
    assert (raw.class_names, raw.train.targets.tolist()) == ((1, 2), [0, 1, 0, 1])


PRICES = [f"{100 + n % 7 * 1.5}" for n in range(60)]


def test_fractions_as_classes_are_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"7 classes are fractions such as 101\.5; data\.kind: regression"):
        assert load(tmp_path, PRICES).classes == 7


def test_a_regressions_target_is_refused_as_classes(tmp_path: Path) -> None:
    message = (
        r"^data\.kind: classification is given; .*column 'y' holds 40 different numbers such as 0\.5 in 40"
    )
    with pytest.raises(JobError, match=rf"{message} rows\. data\.kind: regression learns a number"):
        load(tmp_path, [f"{n}.5" for n in range(40)])


def test_many_integers_and_ids_as_classes_are_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="50 classes in 100 rows; data.kind: regression learns a number"):
        load(tmp_path, [str(n // 2) for n in range(100)])
    with pytest.warns(UserWarning, match="30 classes in 60 rows; is it an id"):
        load(tmp_path, [f"u{n // 2}" for n in range(60)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, [str(n % 30) for n in range(120)])


def test_two_spellings_of_a_text_are_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="'Yes' and 'yes' are two classes"):
        load(tmp_path, ["yes", "no", "Yes", "no"])


@pytest.mark.parametrize(
    ("labels", "test", "message"),
    [
        (["1", "2", "1"], ["1", "3"], "line 3: label 3 does not occur in the training data; it has 1, 2"),
        (
            ["cat", "dog"],
            ["dog", "dig"],
            r"line 3: label 'dig' does not .* it has cat, dog\. Did you mean 'dog'",
        ),
        (["0", "1"], ["1", "-1"], "line 3: label -1 is given; with 2 classes the labels 0 to 1 are allowed"),
        (["1", "2", "nan"], None, "line 4: 'nan' stands among numbers: the value is missing"),
        (["1", "2", ""], None, "line 4: the value is missing"),
        (["1", "1.0", "01"], None, "every label is 1; at least two classes are needed"),
    ],
)
def test_labels_that_cannot_be_are_named_with_their_line(
    tmp_path: Path, labels: list[str], test: list[str] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, labels, test)


@pytest.mark.parametrize(
    ("targets", "names", "numbers"),
    [
        (np.array([1, 2, 3, 2]), (1, 2, 3), [0, 1, 2, 1]),
        (np.array([-1, 1, 1, -1], np.int8), (-1, 1), [0, 1, 1, 0]),
        (np.array([True, False, True, False]), (False, True), [1, 0, 1, 0]),
        (np.array([0, 2, 1, 0], np.uint64), None, [0, 2, 1, 0]),
    ],
)
def test_archives_keep_what_classes_are_called(
    tmp_path: Path, targets: np.ndarray, names: tuple[Any, ...] | None, numbers: list[int]
) -> None:
    inputs = np.arange(8.0).reshape(4, 2)
    np.savez(tmp_path / "t.npz", inputs=inputs, targets=targets, test_inputs=inputs, test_targets=targets)
    raw = load_npz(Npz(path=str(tmp_path / "t.npz")))
    assert raw.test is not None
    assert raw.class_names == names
    assert raw.train.targets.tolist() == raw.test.targets.tolist() == numbers


def test_a_class_of_one_example_among_many_is_trained_on(tmp_path: Path) -> None:
    labels = ["rare", *(["often", "seldom"] * 100)]
    load(tmp_path, labels)
    spec = Csv(path=str(tmp_path / "train.csv"), target="y")
    with pytest.warns(
        UserWarning, match="class 'rare' has one example only, which stays in the training part"
    ):
        dataset = load_dataset(spec)
    assert dataset.class_counts is not None
    assert dataset.class_counts.tolist() == [80, 1, 80]
    assert (len(dataset.train), len(dataset.validation)) == (161, 40)


def test_names_are_small_enough_to_keep(tmp_path: Path) -> None:
    load(tmp_path, ["x", "z"] * 5)
    dataset = load_dataset(Csv(path=str(tmp_path / "train.csv"), target="y"))
    named = {name: dataset.facts().get(name) for name in ("classes", "columns")}
    assert named == {"classes": ["x", "z"], "columns": ["a"]}
    assert dataset.to("cpu").facts() == dataset.facts()
    names = ",".join(f"c{n}" for n in range(10_001))
    (tmp_path / "wide.csv").write_text(
        f"{names},y\n" + "".join(f"{'1,' * 10_001}{n % 2}\n" for n in range(10))
    )
    wide = load_dataset(Csv(path=str(tmp_path / "wide.csv"), target="y"))
    assert wide.facts().keys() == {"baseline"}
