"""What raw examples go through before a network gets them, fitted on the training part and kept with the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from raydnn.data.inputs import Inputs
from raydnn.data.named import Named, packed, told
from raydnn.data.scaling import ScalingState
from raydnn.data.targets import TargetScale
from raydnn.errors import DataError
from raydnn.spec.data import Label, Task


@dataclass(frozen=True, eq=False)
class Preparation:
    """The fitted way from raw examples to a network's inputs and targets, and what the data call both."""

    task: Task
    shape: tuple[int, ...] | None
    """Shape of one raw input; None: any that has as many numbers as the network takes."""
    scaling: ScalingState
    classes: int
    """Number of classes; 0 where the targets are not class numbers."""
    class_names: tuple[Label, ...] | None = None
    """What the data call the classes, in the order of their numbers; None: by these numbers."""
    feature_names: tuple[str, ...] | None = None
    """What the data call the features; None: they have no names."""
    feature_types: tuple[str, ...] | None = None
    """`number` or `boolean` of each named feature; of an input without names what it is: `number` or `picture`."""
    target_names: tuple[str, ...] | None = None
    """What the data call the targets; None: they have no names."""
    target_scale: TargetScale | None = None
    """What a regression's targets went through; None: they are as they were."""
    vocabulary: int | None = None
    """Largest token of the training inputs + 1, where they may be taken for tokens; None: they are numbers."""
    padding: int | None = None
    """The token that is padding, and becomes NaN; None: there is none."""
    padded: bool = False
    """Whether steps of sequences may be padding, which is NaN in inputs that are numbers."""
    named: Named = ()
    """Several inputs that lie side by side in rows; none: they are one without a name."""

    def described(self, features: tuple[int, ...]) -> Inputs:
        """What a network is told of its inputs, (*features) each."""
        pictures = self.feature_types == ("picture",)
        return Inputs(features, self.vocabulary, self.padded, pictures, self.named)

    def raw(self, given: ArrayLike | Mapping[str, ArrayLike]) -> NDArray[Any]:
        """Return raw inputs (n, *shape) as one array: inputs by name as rows.

        Raises:
            DataError: One array is given where there are several by name, or the other way round; or one of these is
                missing, or has another shape or type.
        """
        if isinstance(given, Mapping):
            if not self.named:
                raise DataError("inputs by name are given; the network was trained on one array of inputs")
            return packed({name: np.asarray(array) for name, array in given.items()}, self.named)
        if self.named:
            raise DataError(f"one array of inputs is given; needed are arrays by name: {told(self.named)}")
        return np.asarray(given)

    def inputs(self, raw: NDArray[Any]) -> Tensor:
        """Return what a network gets (n, *features), float32, for raw inputs (n, *shape).

        They are scaled in the precision in which the training inputs were.

        Raises:
            DataError: They have another shape, or are no numbers.
        """
        if raw.dtype.kind not in "fiub":
            raise DataError(f"inputs of type {raw.dtype} are given; numbers are needed")
        if self.shape is not None and raw.shape[1:] != self.shape:
            raise DataError(
                f"inputs of shape {raw.shape[1:]} are given; the network was trained on {self.shape}"
            )
        numbers = as_tensor(raw).to(self.scaling.shift.dtype)
        if self.padding is not None:
            numbers = numbers.masked_fill(numbers == self.padding, nan)
        return self.scaling.apply(numbers)

    def targets(self, raw: NDArray[Any]) -> Tensor:
        """Return what a network learns: class numbers int64 (n,), numbers and probabilities float32 (n, outputs)."""
        targets = as_tensor(raw if self.target_scale is None else self.target_scale.apply(raw))
        return targets.float() if targets.is_floating_point() else targets

    def to(self, device: torch.device | str) -> Preparation:
        """Return the same preparation on a device."""
        return replace(self, scaling=self.scaling.to(device))


def as_tensor(array: NDArray[Any]) -> Tensor:
    """The same numbers as a tensor, in the same memory where that may be written to, as torch asks."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
