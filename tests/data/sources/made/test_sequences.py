from __future__ import annotations

import numpy as np
import pytest

from raydnn.data.load import load_dataset
from raydnn.data.sources.made.sequences import CYCLES, make_sequences
from raydnn.spec.data import Sequences

TASKS = ("adding", "copy", "sines")


def _made(task: str, **fields: int) -> tuple[np.ndarray, np.ndarray]:
    train = make_sequences(Sequences(**{"task": task, **fields})).train
    return train.inputs, train.targets


@pytest.mark.parametrize("task", TASKS)
def test_the_seed_alone_decides_what_is_made(task: str) -> None:
    for first, again, other in zip(_made(task), _made(task), _made(task, seed=1), strict=True):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("task", TASKS)
def test_there_are_as_many_of_the_length_that_is_asked_for(task: str) -> None:
    inputs, targets = _made(task, count=31, length=17)
    assert (len(inputs), inputs.shape[1], len(targets)) == (31, 17, 31)
    dataset = load_dataset(Sequences(task=task, count=100, test_fraction=0.1))
    assert dataset.examples["test"] in range(8, 13)
    assert dataset.task == ("regression" if task == "adding" else "classification")


def test_the_sum_is_that_of_the_marked_numbers_one_in_each_half() -> None:
    inputs, targets = _made("adding", count=3000, length=21)
    for values, target in zip(inputs, targets, strict=True):
        first, second = np.flatnonzero(values[:, 1])
        assert first < 10 <= second
        assert target == pytest.approx(values[first, 0] + values[second, 0])
    # The sum of two numbers from 0 to 1: mean 1, variance 2/12.
    assert targets.mean() == pytest.approx(1, abs=0.03)
    assert targets.var() == pytest.approx(1 / 6, rel=0.1)


def test_the_class_is_the_symbol_that_is_asked_for() -> None:
    dataset = load_dataset(Sequences(task="copy", length=12))
    assert (dataset.inputs.vocabulary, dataset.outputs) == (12, 8)
    inputs, targets = _made("copy", length=12)
    assert not inputs[:, 3:-1].any()
    asked = inputs[:, -1].astype(int) - 9
    assert set(asked) == {0, 1, 2}
    assert np.array_equal(inputs[np.arange(len(inputs)), asked] - 1, targets)


def test_a_sines_class_is_its_strongest_frequency() -> None:
    inputs, targets = _made("sines", count=500, length=100)
    turns = np.outer(CYCLES, np.arange(100) / 100) * 2 * np.pi
    strength = np.abs(inputs[..., 0] @ np.exp(1j * turns).T)
    found = strength.argmax(axis=1) == targets
    assert 0.9 < found.mean() < 1, "the noise hides some"
