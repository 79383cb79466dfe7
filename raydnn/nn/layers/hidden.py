"""A hidden layer of a stack: a dense layer, and the tail that makes activations of its pre-activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from raydnn.nn.activations import activate
from raydnn.nn.layers.dense import Dense
from raydnn.nn.layers.dropout import Dropout, Terms
from raydnn.nn.layers.normalization import NormLayer, normalize
from raydnn.stacking.context import Context
from raydnn.stacking.groups import MemberGroup


@dataclass(frozen=True)
class Tail:
    """What follows a dense layer: normalization, skip, activation, normalization, dropout; most of it may be absent."""

    activations: Sequence[MemberGroup]
    """The members' activations."""
    dropout: Dropout
    normalizes_before: bool
    """Whether the normalization, where there is one, comes before the activation."""
    ends_block: bool
    """Whether the skip's values are added before the activation."""
    starts_block: bool
    """Whether the next skip begins at this layer's activations."""
    is_last: bool
    """Whether it is the last hidden layer."""


class Hidden(Dense):
    """A hidden layer: h ← dropout(f(xWᵀ + b)), perhaps normalized or with a skip."""

    def __init__(self, parameters: Mapping[str, Tensor], norm: NormLayer | None, tail: Tail) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: Those of the dense layer, and `alpha`, the slopes (N, fan_out) of the activation, where it
                learns them.
            norm: The normalization that follows, before or after the activation.
            tail: All else that follows.
        """
        super().__init__(parameters)
        self.alpha = nn.Parameter(parameters["alpha"]) if "alpha" in parameters else None
        self.norm = norm
        self.tail = tail

    def finish(self, z: Tensor, skip: Tensor | None, context: Context) -> Tensor:
        """Compute the activations.

        Args:
            z: Pre-activations (N, B, H).
            skip: What the skip brings (N, B, H), where a block ends here.
            context: Of the forward pass.
        """
        tail = self.tail
        if tail.normalizes_before:
            z = normalize(self.norm, z, context)
        if skip is not None:
            z = z + skip
        hidden = activate(tail.activations, z, context, self.alpha)
        if not tail.normalizes_before:
            hidden = normalize(self.norm, hidden, context)
        dropped = self.dropped(context)
        return hidden if dropped is None else dropped.of(hidden)

    def dropped(self, context: Context) -> Terms | None:
        """What dropout does to this layer's activations; None: nothing."""
        return self.tail.dropout.of_hidden(self.weight.shape[1], context, self.tail.is_last)
