"""A data set that is handed over: the same afterwards, without a copy, unless it is too large."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from raydnn.data.dataset import Dataset
from raydnn.data.in_memory import InMemory
from raydnn.data.load import load_dataset
from raydnn.launch.worker.shared_dataset import SharedDataset, share
from raydnn.spec.data import Digits


@pytest.fixture(scope="module")
def spec() -> Digits:
    given: dict[str, Any] = {"validation_fraction": 0.2, "test_fraction": 0.2, "scaling": "standardize"}
    return TypeAdapter(Digits).validate_python(given)


def _handed_over(prepared: SharedDataset | None) -> Dataset:
    """As it comes out of Ray's object store, where what is large can only be read."""
    assert prepared is not None
    large: list[pickle.PickleBuffer] = []
    small = pickle.dumps(prepared, protocol=5, buffer_callback=large.append)
    assert len(small) < 50_000
    again: SharedDataset = pickle.loads(small, buffers=[buffer.raw().toreadonly() for buffer in large])
    return again.dataset


def test_what_is_handed_over_is_what_was_read(spec: Digits, recwarn: pytest.WarningsRecorder) -> None:
    read = load_dataset(spec)
    again = _handed_over(share(spec, read))
    assert (again.classes, again.task, again.scaling.name) == (read.classes, read.task, read.scaling.name)
    assert again.parts.keys() == read.parts.keys() == {"train", "validation", "test"}
    for name, part in read.parts.items():
        other = again.parts[name]
        assert isinstance(part, InMemory)
        assert isinstance(other, InMemory)
        assert torch.equal(part.inputs, other.inputs)
        assert torch.equal(part.targets, other.targets)
        assert other.weights is None
        assert np.shares_memory(part.inputs.numpy(), other.inputs.numpy())
        assert np.shares_memory(part.targets.numpy(), other.targets.numpy())
    for name, tensor in read.scaling.tensors().items():
        assert torch.equal(tensor, again.scaling.tensors()[name])
    assert not recwarn.list


def test_a_part_that_is_not_there_stays_away_and_weights_go_along(spec: Digits) -> None:
    read = load_dataset(spec.model_copy(update={"test_fraction": None}))
    assert isinstance(read.train, InMemory)
    weighted = torch.linspace(0, 1, len(read.train))
    again = _handed_over(share(spec, replace(read, train=replace(read.train, weights=weighted))))
    assert again.test is None
    assert isinstance(again.train, InMemory)
    assert again.train.weights is not None
    assert torch.equal(again.train.weights, weighted)


def test_a_large_one_is_not_handed_over(spec: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydnn.launch.worker.shared_dataset.LARGEST_BYTES", 1000)
    assert share(spec, load_dataset(spec)) is None
