"""What every model says of itself."""

from __future__ import annotations

from typing import ClassVar

from raydnn.spec.base import Component


class Network(Component):
    """The network's shape; which examples it takes, its builder says."""

    normalization: ClassVar[str] = "none"
    """Its normalization, where the job says nothing."""
    activation: ClassVar[str] = "relu"
    """Its activation, where the job says nothing."""
    learns_inputs: ClassVar[bool] = False
    """Whether it learns its inputs, so that the data's own targets are ignored."""

    mixes: ClassVar[bool] = False
    """Whether few trials of several shapes may share a stack, as `raydnn.search.packing` says."""

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units, or channels, of each hidden layer that may be normalized, from input to output."""
        return ()

    @property
    def block_ends(self) -> tuple[int, ...]:
        """Hidden layers, counted from 0, to which the hidden units two layers before are added."""
        return ()

    @property
    def graph(self) -> tuple[object, ...]:
        """What all members of a stack share."""
        return self.name, self.hidden_widths
