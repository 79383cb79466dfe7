"""A data set: its parts as examples, ready for training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from raydnn.data.augmentation.shades import Shades, shades_of
from raydnn.data.examples import Examples, targets_of
from raydnn.data.inputs import Inputs
from raydnn.data.preparation import Preparation
from raydnn.data.scaling import ScalingState
from raydnn.data.targets import TargetScale
from raydnn.data.tokens import TokenRange
from raydnn.spec.data import Task

MOST_NAMES = 10_000
"""More classes or columns are not kept by name."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and perhaps test part of a data set, and what they went through."""

    train: Examples
    validation: Examples
    test: Examples | None
    preparation: Preparation
    """What all parts went through."""
    tokens: tuple[TokenRange, ...] = ()
    """Where inputs are whole numbers (n, T): what a vocabulary has to hold, and where it stands."""
    baseline: dict[str, Any] = field(default_factory=dict)
    """What is reached without a network: `raydnn.data.baseline`."""

    @property
    def task(self) -> Task:
        """What is learned."""
        return self.preparation.task

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the targets are not class numbers."""
        return self.preparation.classes

    @property
    def scaling(self) -> ScalingState:
        """What the inputs went through."""
        return self.preparation.scaling

    @property
    def target_scale(self) -> TargetScale | None:
        """What a regression's targets went through; None: they are as they were."""
        return self.preparation.target_scale

    @property
    def features(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.train.features

    @property
    def inputs(self) -> Inputs:
        """What a network is told of its inputs."""
        return self.preparation.described(self.features)

    @property
    def outputs(self) -> int:
        """Number of classes, or of target numbers."""
        return self.classes or self.train.target_shape[0]

    @property
    def parts(self) -> dict[str, Examples]:
        """The parts by name; `test` only where there is one."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def examples(self) -> dict[str, int]:
        """Number of examples of each part."""
        return {name: len(part) for name, part in self.parts.items()}

    @cached_property
    def class_counts(self) -> torch.Tensor | None:
        """Training examples of each class (classes,); None where the targets are no class numbers."""
        return torch.bincount(targets_of(self.train), minlength=self.classes) if self.classes else None

    @cached_property
    def shades(self) -> Shades:
        """How bright the pixels of its pictures are."""
        return shades_of(self.train, self.scaling)

    def facts(self) -> dict[str, Any]:
        """Return what a run and its checkpoints keep of the data, as JSON values.

        The names of `classes`, in the order of their numbers, and of `columns`, the `target_scale`, and the
        `baseline`. What there is not, or of which there are more than MOST_NAMES names, has no entry.
        """
        named = {"classes": self.preparation.class_names, "columns": self.preparation.feature_names}
        found: dict[str, Any] = {
            what: list(names) for what, names in named.items() if names and len(names) <= MOST_NAMES
        }
        if self.target_scale is not None:
            found["target_scale"] = self.target_scale.to_json()
        return {**found, "baseline": self.baseline} if self.baseline else found

    def to(self, device: torch.device | str) -> Dataset:
        """Return the same data set on a device."""
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=None if self.test is None else self.test.to(device),
            preparation=self.preparation.to(device),
        )
