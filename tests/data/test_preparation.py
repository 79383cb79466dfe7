"""What a data set's examples go through is fitted once, knows what the data call things, and fits raw examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from raydnn.data.load import fit_preparation, load_dataset, prepare, read_parts
from raydnn.errors import DataError
from raydnn.spec.data import Csv, Digits
from raydnn.spec.scaling import Standardize

ROWS = "size,new,rooms,price\n" + "".join(
    f"{n % 7}.5,{n % 2 == 0},{n % 3},{100 + n * 2}\n" for n in range(40)
)


@pytest.fixture
def houses(tmp_path: Path) -> Csv:
    (tmp_path / "houses.csv").write_text(ROWS)
    return Csv(
        path=str(tmp_path / "houses.csv"),
        target="price",
        kind="regression",
        scaling=Standardize(),
        validation=10,
        test_fraction=0.2,
    )


def test_it_knows_what_the_data_call_things_and_of_what_type_they_are(houses: Csv) -> None:
    found = load_dataset(houses).preparation
    assert (found.shape, found.feature_names) == ((3,), ("size", "new", "rooms"))
    assert found.feature_types == ("number", "boolean", "number")
    assert found.target_names == ("price",)
    assert (found.task, found.classes, found.class_names) == ("regression", 0, None)


def test_pictures_keep_their_shape() -> None:
    found = load_dataset(Digits()).preparation
    assert (found.shape, found.feature_types, found.feature_names) == ((8, 8), ("picture",), None)
    assert (found.classes, found.class_names, found.target_names) == (10, None, None)


def test_raw_examples_become_what_scikit_learn_makes_of_them(houses: Csv) -> None:
    parts = read_parts(houses)
    preparation = fit_preparation(houses, parts)
    assert parts.test is not None
    scaler = StandardScaler().fit(parts.train.inputs)
    np.testing.assert_allclose(
        preparation.inputs(parts.test.inputs), scaler.transform(parts.test.inputs), rtol=1e-5
    )
    prices = parts.train.targets
    expected = (parts.test.targets - prices.mean()) / prices.std()
    np.testing.assert_allclose(preparation.targets(parts.test.targets), expected, rtol=1e-5)
    dataset = load_dataset(houses)
    for name, arrays in {"train": parts.train, "validation": parts.validation, "test": parts.test}.items():
        part = prepare(arrays, preparation)
        assert torch.equal(part.inputs, dataset.parts[name].inputs)
        assert torch.equal(part.targets, dataset.parts[name].targets)


@pytest.mark.parametrize("raw", [np.zeros((2, 4)), np.zeros((2, 3, 1)), np.zeros(3)])
def test_inputs_of_another_shape_are_refused(houses: Csv, raw: Any) -> None:
    preparation = load_dataset(houses).preparation
    with pytest.raises(DataError, match=r"the network was trained on \(3,\)"):
        preparation.inputs(raw)
