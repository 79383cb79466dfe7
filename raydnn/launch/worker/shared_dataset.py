"""A data set that is read once, by the driver, and handed to the processes that train through Ray's object store."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from raydnn.data.dataset import Dataset, Split
from raydnn.data.scaling import ScalingState
from raydnn.data.targets import TargetScale
from raydnn.spec.data import DataSet, Label, Task

LARGEST_BYTES = 2**30
"""A larger data set is read by each process itself: Ray's object store is a share of the memory."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set as arrays, which processes on one machine share without a copy."""

    spec: DataSet
    arrays: dict[str, NDArray[Any]]
    """`train.inputs`, `validation.targets`, ..., and `scaling.shift`, ..., by name."""
    classes: int
    task: Task
    scaling: str
    class_names: tuple[Label, ...] | None
    feature_names: tuple[str, ...] | None
    target_scale: TargetScale | None

    def dataset(self) -> Dataset:
        """Return the data set; its tensors lie in memory that cannot be written."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            tensors = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        validation, test = _split(tensors, "validation"), None
        if "test.inputs" in tensors:
            test = _split(tensors, "test")
        of_scaling = {name.partition(".")[2]: t for name, t in tensors.items() if name.startswith("scaling.")}
        scaling = ScalingState(self.scaling, **of_scaling)
        return Dataset(
            _split(tensors, "train"),
            validation,
            test,
            self.classes,
            self.task,
            scaling,
            class_names=self.class_names,
            feature_names=self.feature_names,
            target_scale=self.target_scale,
        )


def prepare(spec: DataSet, dataset: Dataset) -> Prepared | None:
    """Take a data set apart; None where it is too large to be handed over.

    Args:
        spec: What it was read from.
        dataset: As it was read.
    """
    tensors = {f"scaling.{name}": tensor for name, tensor in dataset.scaling.tensors().items()}
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    for part, split in parts.items():
        if split is not None:
            tensors |= {f"{part}.inputs": split.inputs, f"{part}.targets": split.targets}
            if split.weights is not None:
                tensors[f"{part}.weights"] = split.weights
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    if sum(array.nbytes for array in arrays.values()) > LARGEST_BYTES:
        return None
    return Prepared(
        spec,
        arrays,
        dataset.classes,
        dataset.task,
        dataset.scaling.name,
        dataset.class_names,
        dataset.feature_names,
        dataset.target_scale,
    )


def _split(tensors: dict[str, torch.Tensor], part: str) -> Split:
    return Split(tensors[f"{part}.inputs"], tensors[f"{part}.targets"], tensors.get(f"{part}.weights"))
