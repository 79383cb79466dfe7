"""A data set that is read once, by the driver, and handed to the processes that train through Ray's object store."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from raydnn.data.dataset import Dataset, Split
from raydnn.data.preparation import Preparation
from raydnn.spec.data import DataSet

LARGEST_BYTES = 2**30
"""A larger data set is read by each process itself: Ray's object store is a share of the memory."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set as arrays, which processes on one machine share without a copy."""

    spec: DataSet
    arrays: dict[str, NDArray[Any]]
    """`train.inputs`, `validation.targets`, ... by name."""
    preparation: Preparation
    """What they went through."""

    def dataset(self) -> Dataset:
        """Return the data set; its tensors lie in memory that cannot be written."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            tensors = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        validation, test = _split(tensors, "validation"), None
        if "test.inputs" in tensors:
            test = _split(tensors, "test")
        return Dataset(_split(tensors, "train"), validation, test, self.preparation)


def prepare(spec: DataSet, dataset: Dataset) -> Prepared | None:
    """Take a data set apart; None where it is too large to be handed over.

    Args:
        spec: What it was read from.
        dataset: As it was read.
    """
    tensors: dict[str, torch.Tensor] = {}
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    for part, split in parts.items():
        if split is not None:
            tensors |= {f"{part}.inputs": split.inputs, f"{part}.targets": split.targets}
            if split.weights is not None:
                tensors[f"{part}.weights"] = split.weights
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    if sum(array.nbytes for array in arrays.values()) > LARGEST_BYTES:
        return None
    return Prepared(spec, arrays, dataset.preparation)


def _split(tensors: dict[str, torch.Tensor], part: str) -> Split:
    return Split(tensors[f"{part}.inputs"], tensors[f"{part}.targets"], tensors.get(f"{part}.weights"))
