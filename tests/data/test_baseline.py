"""What classes the parts hold, and what is reached without a network, counted by hand."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from raydnn.data.baseline import baseline
from raydnn.data.load import load_dataset
from raydnn.spec.data import Csv, Digits


def write(folder: Path, labels: list[str], name: str = "d.csv") -> str:
    rows = [f"{(7 * n) % 11 / 3},{label}" for n, label in enumerate(labels)]
    (folder / name).write_text("a,y\n" + "\n".join(rows) + "\n")
    return str(folder / name)


def test_the_most_frequent_class_of_training_is_the_answer(tmp_path: Path) -> None:
    # Of the first four examples, which are validation, one is of the class that training has most of.
    path = write(tmp_path, ["yes", "yes", "no", "yes", "no", "no", "no", "yes"])
    found = baseline(load_dataset(Csv(path=path, target="y", validation=4)))
    assert found == {"class": "no", "train_accuracy": 0.75, "validation_accuracy": 0.25}


def test_of_numbers_the_mean_is_the_answer(tmp_path: Path) -> None:
    path = write(tmp_path, [f"{n}.5" for n in range(8)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load_dataset(Csv(path=path, target="y", kind="regression", validation=4))
    # Training has 4.5 to 7.5, whose mean is 6 and whose variance is 1.25; validation has 0.5 to 3.5, mean 2.
    found = baseline(dataset)
    assert found == {"train_mse": pytest.approx(1.25), "validation_mse": pytest.approx(1.25 + 16)}
    assert dataset.facts()["baseline"] == found


def test_errors_of_the_mean_are_in_the_targets_own_unit(tmp_path: Path) -> None:
    path = write(tmp_path, [f"{1000 * n + 500}" for n in range(8)])
    dataset = load_dataset(Csv(path=path, target="y", kind="regression", validation=4))
    assert dataset.target_scale is not None
    assert baseline(dataset)["validation_mse"] == pytest.approx(17.25e6, rel=1e-5)


def test_a_part_of_one_class_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, ["a"] * 5 + ["b", "c"] * 5)
    with pytest.warns(UserWarning, match="class") as told:
        load_dataset(Csv(path=path, target="y", validation=5))
    said = [str(each.message) for each in told]
    assert any("the validation part has one class only, 'a'" in each for each in said), said
    assert any("no training example is of class 'a', which the validation part has" in each for each in said)


def test_a_test_part_with_a_class_that_training_lacks_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, ["a", "b", "c"] + ["b", "c"] * 5)
    test = write(tmp_path, ["a", "b", "c"], "t.csv")
    with pytest.warns(UserWarning, match="no training example is of class 'a', which the test part has"):
        load_dataset(Csv(path=path, test_path=test, target="y", validation=3))


def test_parts_with_all_classes_are_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_dataset(Digits(test_fraction=0.2))
