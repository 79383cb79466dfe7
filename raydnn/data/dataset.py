"""A data set in memory: its parts as tensors, ready for training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from raydnn.data.scaling import ScalingState
from raydnn.spec.data import Task


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set."""

    inputs: torch.Tensor
    """float32, (n, *features), scaled."""
    targets: torch.Tensor
    """Class numbers: int64, (n,). Numbers, labels (0 or 1) and probabilities: float32, (n, outputs)."""
    weights: torch.Tensor | None = None
    """float32, (n,): weight of each example in the training loss; None where all are equal."""

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> Split:
        """Return the same part on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Split(self.inputs.to(device), self.targets.to(device), weights)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and perhaps test part of a data set, and the scaling they went through."""

    train: Split
    validation: Split
    test: Split | None
    classes: int
    """Number of classes; 0 where the targets are not class numbers."""
    task: Task
    scaling: ScalingState
    shape: tuple[int, ...] | None = None
    """Shape of one input before it was made a row; None: it is as it was."""

    @property
    def features(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def outputs(self) -> int:
        """Number of classes, or of target numbers."""
        return self.classes or self.train.targets.shape[1]

    @property
    def examples(self) -> dict[str, int]:
        """Number of examples of each part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: len(part) for name, part in parts.items() if part is not None}

    @property
    def class_counts(self) -> torch.Tensor | None:
        """Training examples of each class (classes,); None where the targets are no class numbers."""
        return torch.bincount(self.train.targets, minlength=self.classes) if self.classes else None

    def to(self, device: torch.device | str) -> Dataset:
        """Return the same data set on a device."""
        return Dataset(
            self.train.to(device),
            self.validation.to(device),
            None if self.test is None else self.test.to(device),
            self.classes,
            self.task,
            self.scaling.to(device),
            self.shape,
        )
