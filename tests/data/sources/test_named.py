"""Inputs by name in an archive: side by side in rows, whole numbers kept, what does not fit refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raydnn.data.load import load_dataset
from raydnn.data.named import NamedInput, split, with_whole_numbers
from raydnn.data.sources.npz import load_npz
from raydnn.errors import DataError, JobError
from raydnn.spec.data import Npz

N = 12
RNG = np.random.default_rng(0)
IMAGE = RNG.normal(3, 2, size=(N, 1, 2, 3))
AGE = RNG.normal(50, 9, size=(N, 2)).astype(np.float32)
WORDS = RNG.integers(2, 9, size=(N, 4))
TARGETS = np.arange(N) % 3
GIVEN = {"image": IMAGE, "age": AGE, "words": WORDS, "targets": TARGETS}
NAMED = (
    NamedInput("image", (1, 2, 3)),
    NamedInput("age", (2,)),
    NamedInput("words", (4,), (int(WORDS.min()), int(WORDS.max()))),
)
ROWS = np.concatenate([IMAGE.reshape(N, 6), AGE, WORDS], axis=1)


def written(folder: Path, arrays: dict[str, Any], **fields: Any) -> Npz:
    np.savez(folder / "data.npz", **arrays)
    return Npz(path=str(folder / "data.npz"), **fields)


def test_arrays_by_name_lie_side_by_side(tmp_path: Path) -> None:
    of_test = {f"test_{name}": array[:5] for name, array in GIVEN.items()}
    raw = load_npz(written(tmp_path, GIVEN | of_test))
    assert (raw.named, raw.tokens, raw.classes) == (NAMED, (), 3)
    assert raw.train.inputs.dtype == np.float32
    np.testing.assert_array_equal(raw.train.inputs, ROWS.astype(np.float32))
    assert raw.test is not None
    np.testing.assert_array_equal(raw.test.inputs, ROWS[:5].astype(np.float32))
    parts = split(torch.from_numpy(raw.train.inputs), NAMED)
    assert parts["image"].shape == (N, 1, 2, 3)
    assert parts["words"].dtype == torch.int64
    assert np.array_equal(parts["words"], WORDS)
    assert np.array_equal(parts["image"], IMAGE.astype(np.float32))


def test_one_number_an_example_weights_and_the_range_of_both_parts(tmp_path: Path) -> None:
    arrays = {"age": AGE, "word": np.arange(N), "importance": np.ones(N), "targets": TARGETS}
    of_test = {"test_age": AGE, "test_word": np.arange(N) + 5, "test_targets": TARGETS}
    raw = load_npz(written(tmp_path, arrays | of_test, weights="importance"))
    assert raw.named == (NamedInput("age", (2,)), NamedInput("word", (), (0, N + 4)))
    assert raw.train.weights is not None


@pytest.mark.parametrize("name", ["unit", "minmax", "center", "standardize"])
def test_numbers_are_scaled_and_whole_ones_are_not(tmp_path: Path, name: str) -> None:
    found = load_dataset(written(tmp_path, GIVEN, validation=2, scaling={"name": name})).train.inputs.numpy()
    train, numbers = ROWS[2:], ROWS[2:, :8]
    expected = {
        "unit": numbers / (numbers.max() - numbers.min()),
        "minmax": (numbers - numbers.min(0)) / np.ptp(numbers, axis=0),
        "center": numbers - numbers.mean(0),
        "standardize": (numbers - numbers.mean(0)) / numbers.std(0),
    }
    np.testing.assert_allclose(found[:, :8], expected[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[:, 8:], train[:, 8:])


def test_whole_numbers_alone_are_left_alone(tmp_path: Path) -> None:
    arrays = {"first": WORDS, "second": WORDS + 1, "targets": TARGETS}
    dataset = load_dataset(written(tmp_path, arrays, validation=2, scaling={"name": "standardize"}))
    assert np.array_equal(dataset.train.inputs, np.concatenate([WORDS, WORDS + 1], axis=1)[2:])


def test_raw_inputs_are_prepared_by_name(tmp_path: Path) -> None:
    dataset = load_dataset(written(tmp_path, GIVEN, validation=2, scaling={"name": "standardize"}))
    preparation = dataset.preparation
    given = {"words": WORDS[2:], "image": IMAGE[2:], "age": AGE[2:].tolist()}
    torch.testing.assert_close(preparation.inputs(preparation.raw(given)), dataset.train.inputs)
    for bad, message in (
        (
            {"image": IMAGE, "age": AGE},
            r"image, age are given; needed are image \(n, 1, 2, 3\), age \(n, 2\)",
        ),
        ({**given, "name": AGE}, "words, image, age, name are given; needed are"),
        ({**given, "age": AGE}, r"age: float32 of shape \(12, 2\) is given; numbers \(10, 2\) are needed"),
        ({**given, "words": WORDS[2:] / 2}, r"words: float64 of shape .*; whole numbers \(10, 4\)"),
        (ROWS, "one array of inputs is given; needed are arrays by name: image"),
    ):
        with pytest.raises(DataError, match=message):
            preparation.raw(bad)  # type: ignore[arg-type]


def test_whole_numbers_of_examples_to_try_are_in_their_range() -> None:
    tried = split(with_whole_numbers(torch.randn(2, 2, 12), NAMED), NAMED)
    assert tried["words"].shape == (2, 2, 4)
    assert [set(tried["words"][:, k].flatten().tolist()) for k in (0, 1)] == [{2}, {8}]
    assert tried["age"].abs().sum() > 0


BAD: list[tuple[dict[str, Any], str]] = [
    ({"age": AGE[:9]}, "'age': holds 9 examples; 'image' holds 12"),
    ({"targets": TARGETS[:9]}, "'targets': 9 targets for 12 inputs"),
    ({"age": AGE.astype(str)}, "'age': holds <U32; numbers are needed"),
    ({"age": AGE[:, :0]}, r"'age': has the shape \(12, 0\)"),
    ({"age": np.where(AGE.min() < AGE, AGE, np.nan)}, "'age', row .*: nan is given"),
    (
        {"words": np.where(WORDS > 2, WORDS, 2**24 + 1)},
        "'words', row .*: 16777217 is given; whole numbers of",
    ),
    ({"lengths": TARGETS}, "'lengths': is no name of an input; lengths go with one array 'inputs'"),
    ({"weights": TARGETS}, "'weights': is no name of an input; data.weights names the array"),
    ({"my age": AGE}, "'my age': is no name that an argument"),
    ({"class": AGE}, "'class': is no name that an argument"),
    ({"test_sex": AGE}, "'test_sex': there is no array 'sex' for training"),
    ({"test_age": AGE}, "there is an array 'test_age', but no 'test_image'"),
    (
        {"test_image": IMAGE, "test_age": AGE, "test_words": WORDS},
        "only one of test_inputs and test_targets is there",
    ),
    (
        {"test_image": IMAGE, "test_age": AGE[:, :1], "test_words": WORDS, "test_targets": TARGETS},
        r"'test_age': an example has the shape \(1,\); in 'age' it is \(2,\)",
    ),
    (
        {"test_image": IMAGE, "test_age": AGE, "test_words": WORDS / 2, "test_targets": TARGETS},
        "'test_words': holds numbers; 'words' holds whole numbers",
    ),
]


@pytest.mark.parametrize(("arrays", "message"), BAD)
def test_what_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"data\.npz.*{message}") as error:
        load_npz(written(tmp_path, GIVEN | arrays))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"padding": 0}, r"data\.padding is given, which fills up tokens of one array 'inputs'"),
        ({"scaling": {"name": "whiten"}}, "whiten with inputs by name, which are not mixed"),
        ({"scaling": {"name": "standardize", "per": "channel"}}, "which have no channels"),
        ({"reconstruct": True}, "there is no array 'inputs'"),
    ],
)
def test_settings_that_need_one_array_are_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises((DataError, JobError), match=message):
        load_dataset(written(tmp_path, GIVEN, validation=2, **fields))
