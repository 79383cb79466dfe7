"""Examples: what training, evaluation and measurements ask of one part of a data set, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from raydnn.data.batches import order

CHUNK = 4096
"""Examples that are looked at at once where it makes no difference how many."""


class Labels(NamedTuple):
    """What the outputs for some examples are compared with."""

    targets: Tensor
    """Class numbers: int64, (...). Numbers, labels (0 or 1) and probabilities: float32, (..., outputs)."""
    weights: Tensor | None
    """Weights of the examples in the training loss, float32 (...); None where all are equal."""


class Examples(Protocol):
    """One part of a data set. Its examples are numbered from 0, and inputs keep their natural shape.

    Nothing is said of where they are: in memory, in a file, or computed when they are asked for.
    """

    @property
    def features(self) -> tuple[int, ...]:
        """Shape of one input, as it goes to the model."""

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target: () for a class number, else (outputs,)."""

    @property
    def why_eager(self) -> str:
        """Why `batch` cannot be a part of captured steps; empty where it is nothing but kernels on tensors that stay.

        Captured steps call it once, and launch its kernels again; else it is called for every batch.
        """

    @property
    def memory_bytes(self) -> int:
        """Memory that the examples themselves take."""

    def __len__(self) -> int:
        """Number of examples n."""

    def to(self, device: torch.device | str) -> Examples:
        """The same examples, whose batches and chunks are on a device."""

    def order(self, seed: int, epoch: int) -> Tensor:
        """The order in which an epoch visits them: a permutation of 0 to n − 1, int64 (n,), on the CPU.

        Args:
            seed: Seed of the trial, or of the sweep when its trials share one order.
            epoch: Number of the epoch, from 1; the order depends on the two alone.
        """

    def batch(self, rows: Tensor) -> tuple[Tensor, Labels]:
        """The examples of some numbers, on the device.

        Args:
            rows: int64 of any shape, on the device: (B,), or (N, B) where the members' differ; perhaps empty.

        Returns:
            Inputs float32 (*rows, *features), and what goes with them (*rows, ...).
        """

    def chunks(self, size: int, rank: int = 0, workers: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Examples rank, rank + workers, rank + 2·workers, ... in order, on the device, again at every call.

        Args:
            size: Examples of a chunk; the last one may have fewer.
            rank: Number of a worker.
            workers: Number of workers that share the examples.

        Yields:
            Inputs float32 (b, *features) and targets (b, *target_shape), b ≥ 1.
        """


@dataclass(frozen=True, eq=False)
class First:
    """The first of others' examples, in an order of their own."""

    whole: Examples
    count: int
    """How many, at most all."""

    @property
    def features(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.whole.features

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target."""
        return self.whole.target_shape

    @property
    def why_eager(self) -> str:
        """Why the others cannot be a part of captured steps."""
        return self.whole.why_eager

    @property
    def memory_bytes(self) -> int:
        """Memory that all of them take."""
        return self.whole.memory_bytes

    def __len__(self) -> int:
        return self.count

    def to(self, device: torch.device | str) -> First:
        """The same on a device."""
        return First(self.whole.to(device), self.count)

    def order(self, seed: int, epoch: int) -> Tensor:
        """A permutation of those there are."""
        return order(seed, epoch, self.count)

    def batch(self, rows: Tensor) -> tuple[Tensor, Labels]:
        """The others' examples of these numbers."""
        return self.whole.batch(rows)

    def chunks(self, size: int, rank: int = 0, workers: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """The others' chunks, up to the last example there is."""
        left = len(range(rank, self.count, workers))
        chunks = self.whole.chunks(size, rank, workers)
        while left > 0:
            inputs, targets = next(chunks)
            yield inputs[:left], targets[:left]
            left -= len(targets)


def targets_of(examples: Examples) -> Tensor:
    """The targets of all examples (n, *target_shape), in order, on their device."""
    return torch.cat([targets for _, targets in examples.chunks(CHUNK)])
