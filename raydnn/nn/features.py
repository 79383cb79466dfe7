"""Where features lie in values of many examples: channels come first in pictures, features last in all else."""

from __future__ import annotations

from math import prod

from torch import Tensor

from raydnn.stacking.context import Context

PICTURE_DIMENSIONS = 3
"""An example of so many dimensions is a picture (C, H, W); of fewer, a row (F,) or a sequence (T, F)."""


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether an example of this shape has its channels first."""
    return len(shape) == PICTURE_DIMENSIONS


def features_of(shape: tuple[int, ...]) -> int:
    """Number of features of an example, a unit, filter or channel each."""
    return shape[0] if is_picture(shape) else shape[-1]


def by_feature(vectors: Tensor, values: Tensor) -> Tensor:
    """A number for each member and feature, (N, F), shaped to go with values (N, B, *shape)."""
    if is_picture(values.shape[2:]):
        return vectors[:, None, :, None, None]
    return vectors.view(len(vectors), *[1] * (values.dim() - 2), -1)


def features_last(values: Tensor) -> Tensor:
    """Values (N, B, *shape) as (N, B · positions, F)."""
    last = values.movedim(2, -1) if is_picture(values.shape[2:]) else values
    return last.reshape(len(values), -1, last.shape[-1])


def uniform_of_shape(context: Context, shape: tuple[int, ...], stream: str = "noise") -> Tensor:
    """Draw U[0, 1) in training: (1 or N, examples of this worker, *shape)."""
    draws = context.uniform(prod(shape), stream)
    return draws.reshape(*draws.shape[:2], *shape)
