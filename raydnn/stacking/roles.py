"""The role of a parameter in its layer: what initializers, penalties, decay, limits and pruning ask, never its rank."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod


class Role(StrEnum):
    """What a parameter does in its layer."""

    WEIGHT = "weight"
    """Multiplies what comes in: the matrix of a dense layer, the kernels of a convolution."""
    BIAS = "bias"
    """Is added to what a layer's weights give."""
    SCALE = "scale"
    """γ of a normalization, which multiplies what is normalized."""
    SHIFT = "shift"
    """β of a normalization, which is added to it."""
    SLOPE = "slope"
    """The slope of an activation that is learned."""
    EMBEDDING = "embedding"
    """The vectors of tokens, positions or classes, a row each."""
    OTHER = "other"
    """Learned by a user's module in a way that is not known."""
    BUFFER = "buffer"
    """Moved by no gradient: running averages, counters, frozen parameters."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a member, or one of the things that it gathers."""

    shape: tuple[int, ...]
    role: Role
    layer: str
    """Name of its layer, which the diagnostics, clipping by layer and `regularization.layers` go by."""
    fan_in: int = 0
    """Numbers that come into a unit; 0 where it has no units."""
    fan_out: int = 0
    """Units that a number goes to; 0 where it has no units."""
    unit_axis: int = 0
    """The dimension of `shape` that counts a weight's units, or an embedding's vectors."""
    groups: int = 1
    """Where `unit_axis` is 1: the groups of neighbours along dimension 0, each with units of its own."""

    @property
    def count(self) -> int:
        """Numbers of it."""
        return prod(self.shape)
