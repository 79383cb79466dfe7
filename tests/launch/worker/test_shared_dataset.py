"""A data set that is handed over: the same afterwards, without a copy, unless it is too large."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from raydnn.data.load import load_dataset
from raydnn.launch.worker.shared_dataset import prepare
from raydnn.spec.data import Digits


@pytest.fixture(scope="module")
def spec() -> Digits:
    given: dict[str, Any] = {"validation_fraction": 0.2, "test_fraction": 0.2, "scaling": "standardize"}
    return TypeAdapter(Digits).validate_python(given)


def test_what_is_handed_over_is_what_was_read(spec: Digits, recwarn: pytest.WarningsRecorder) -> None:
    read = load_dataset(spec)
    prepared = prepare(spec, read)
    assert prepared is not None
    for array in prepared.arrays.values():
        array.flags.writeable = False  # as in Ray's object store
    again = prepared.dataset()
    assert (again.classes, again.task, again.scaling.name) == (read.classes, read.task, read.scaling.name)
    assert again.test is not None
    assert read.test is not None
    for one, other in (
        (read.train, again.train),
        (read.validation, again.validation),
        (read.test, again.test),
    ):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
        assert other.weights is None
    for name, tensor in read.scaling.tensors().items():
        assert torch.equal(tensor, again.scaling.tensors()[name])
    assert np.shares_memory(again.train.inputs.numpy(), prepared.arrays["train.inputs"])
    assert not recwarn.list


def test_a_part_that_is_not_there_stays_away_and_weights_go_along(spec: Digits) -> None:
    read = load_dataset(spec.model_copy(update={"test_fraction": None}))
    weighted = torch.linspace(0, 1, len(read.train))
    object.__setattr__(read.train, "weights", weighted)
    prepared = prepare(spec, read)
    assert prepared is not None
    again = prepared.dataset()
    assert again.test is None
    assert again.train.weights is not None
    assert torch.equal(again.train.weights, weighted)


def test_a_large_one_is_not_handed_over(spec: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydnn.launch.worker.shared_dataset.LARGEST_BYTES", 1000)
    assert prepare(spec, load_dataset(spec)) is None
