"""Padded sequences and tokens in archives."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from raydnn.data.dataset import Dataset
from raydnn.data.inputs import Inputs
from raydnn.data.load import load_dataset
from raydnn.errors import DataError, JobError
from raydnn.spec.data import Npz

TOKENS = np.array([[3, 1, 4], [1, 5, 9], [2, 6, 5], [3, 5, 8]])
LENGTHS = np.array([3, 1, 2, 3])
TARGETS = np.array([0, 1, 0, 1])


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Dataset]:
    """A data set of arrays, whose first example is for validation; fields by keyword."""

    def make(arrays: dict[str, Any], **fields: Any) -> Dataset:
        path = tmp_path / "sequences.npz"
        np.savez(path, **{"targets": TARGETS, **arrays})
        spec = {"name": "npz", "path": str(path), "validation": 1, **fields}
        return load_dataset(TypeAdapter(Npz).validate_python(spec))

    return make


def test_whole_numbers_may_be_tokens_and_numbers_are_none(load: Callable[..., Dataset]) -> None:
    assert load({"inputs": TOKENS}).inputs == Inputs((3,), vocabulary=10)
    assert load({"inputs": TOKENS}, scaling="standardize").inputs == Inputs((3,))
    assert load({"inputs": TOKENS.astype(float)}).inputs == Inputs((3,))


@pytest.mark.parametrize("arrays", [{"lengths": LENGTHS}, {}], ids=["lengths", "padding"])
def test_padded_tokens_become_nan_and_are_no_part_of_the_vocabulary(
    load: Callable[..., Dataset], arrays: dict[str, Any]
) -> None:
    absent = np.arange(3) >= LENGTHS[:, None]
    inputs, more = (TOKENS, {}) if arrays else (np.where(absent, 77, TOKENS), {"padding": 77})
    dataset = load({"inputs": np.where(absent, 77, inputs), **arrays}, **more)
    # Of the rows' tokens that are there, 8 is the largest.
    assert dataset.inputs == Inputs((3,), vocabulary=9, padded=True)
    expected = torch.tensor([[1, torch.nan, torch.nan], [2, 6, torch.nan], [3, 5, 8]])
    torch.testing.assert_close(next(dataset.train.chunks(9))[0], expected, equal_nan=True)


def test_padded_steps_take_no_part_in_the_scaling(load: Callable[..., Dataset]) -> None:
    inputs = np.arange(24, dtype=np.float64).reshape(4, 3, 2)
    dataset = load({"inputs": inputs, "lengths": LENGTHS}, scaling="standardize")
    steps = np.concatenate([row[:length] for row, length in zip(inputs[1:], LENGTHS[1:], strict=True)])
    scaled = (inputs[1:] - steps.mean(axis=0)) / steps.std(axis=0)
    scaled[np.arange(3) >= LENGTHS[1:, None]] = np.nan
    found = next(dataset.train.chunks(9))[0].numpy()
    np.testing.assert_allclose(found, scaled, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "fields", "message"),
    [
        (
            {"inputs": TOKENS * 1.0},
            {"padding": 0},
            "data.padding is given, which fills up tokens; whole numbers",
        ),
        (
            {"inputs": TOKENS, "lengths": LENGTHS},
            {"padding": 0},
            "data.padding and the array 'lengths' are both",
        ),
        ({"inputs": TOKENS, "lengths": LENGTHS - 1}, {}, "array 'lengths', row 2: 0 is given; 1 to 3 steps"),
        ({"inputs": TOKENS, "lengths": LENGTHS + 1}, {}, "array 'lengths', row 1: 4 is given; 1 to 3 steps"),
        ({"inputs": TOKENS, "lengths": LENGTHS[:2]}, {}, r"of shape \(2,\); whole numbers \(4,\) are needed"),
        ({"inputs": TOKENS * 1.0, "lengths": LENGTHS}, {}, r"the inputs have the shape \(4, 3\); sequences"),
        ({"inputs": TOKENS}, {"padding": 1}, "array 'inputs', row 2: begins with 1, which is padding"),
        (
            {"inputs": TOKENS},
            {"padding": 6},
            "array 'inputs', row 3: a token comes after 6, which is padding",
        ),
    ],
)
def test_what_is_no_padding_is_refused(
    load: Callable[..., Dataset], arrays: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(arrays, **fields)


def test_what_cannot_be_scaled_with_padding_is_refused(load: Callable[..., Dataset]) -> None:
    numbers = np.arange(24, dtype=np.float64).reshape(4, 3, 2)
    with pytest.raises(
        JobError, match=re.escape("data.scaling: whiten with padded sequences; allowed: none, unit")
    ):
        load({"inputs": numbers, "lengths": LENGTHS}, scaling="whiten")
    with pytest.raises(JobError, match=re.escape("data.scaling: unit with tokens; allowed: none")):
        load({"inputs": TOKENS, "lengths": LENGTHS}, scaling="unit")
    with pytest.raises(
        JobError, match=re.escape("data.scaling.per: channel with padded sequences, which have")
    ):
        load({"inputs": numbers, "lengths": LENGTHS}, scaling={"name": "standardize", "per": "channel"})
