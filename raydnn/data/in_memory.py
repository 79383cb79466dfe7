"""Examples in memory: one tensor of all inputs, one of all targets."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from raydnn.data.batches import order
from raydnn.data.examples import Labels


@dataclass(frozen=True, eq=False)
class InMemory:
    """One part of a data set as tensors.

    Pickled it is NumPy arrays, so that processes on one machine can share them without a copy.
    """

    inputs: Tensor
    """float32, (n, *features), scaled."""
    targets: Tensor | None
    """Class numbers: int64, (n,). Numbers, labels (0 or 1) and probabilities: float32, (n, outputs). None: the inputs,
    in rows."""
    weights: Tensor | None = None
    """float32, (n,): weight of each example in the training loss; None where all are equal."""

    @property
    def features(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.inputs.shape[1:])

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target."""
        return (prod(self.features),) if self.targets is None else tuple(self.targets.shape[1:])

    @property
    def why_eager(self) -> str:
        """Nothing: they stay where they are."""
        return ""

    @property
    def memory_bytes(self) -> int:
        """Memory of the tensors."""
        return sum(tensor.nbytes for tensor in self._tensors().values())

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> InMemory:
        """The same on a device."""
        targets = None if self.targets is None else self.targets.to(device)
        weights = None if self.weights is None else self.weights.to(device)
        return InMemory(self.inputs.to(device), targets, weights)

    def order(self, seed: int, epoch: int) -> Tensor:
        """A permutation of all."""
        return order(seed, epoch, len(self))

    def batch(self, rows: Tensor) -> tuple[Tensor, Labels]:
        """The examples of some numbers."""
        weights = None if self.weights is None else _at(self.weights, rows)
        inputs = _at(self.inputs, rows)
        targets = inputs.flatten(rows.dim()) if self.targets is None else _at(self.targets, rows)
        return inputs, Labels(targets, weights)

    def chunks(self, size: int, rank: int = 0, workers: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's share, chunk by chunk, as views."""
        inputs = self.inputs[rank::workers]
        targets = inputs.flatten(1) if self.targets is None else self.targets[rank::workers]
        for start in range(0, len(inputs), size):
            yield inputs[start : start + size], targets[start : start + size]

    def _tensors(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}

    def __getstate__(self) -> dict[str, NDArray[Any]]:
        return {name: tensor.numpy() for name, tensor in self._tensors().items()}

    def __setstate__(self, arrays: dict[str, NDArray[Any]]) -> None:
        with warnings.catch_warnings():
            # What processes share cannot be written, and is not.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        vars(self).update({"targets": None, "weights": None, **tensors})


def _at(values: Tensor, rows: Tensor) -> Tensor:
    """The values (n, ...) at some rows; index_select is twice as fast as indexing."""
    if rows.dim() == 1:
        return values.index_select(0, rows)
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])
