"""Dropout as a layer by itself, where no layer before it has a tail."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.dropout import Dropout
from raydnn.nn.layers.layer import Shape, WithoutParameters
from raydnn.nn.layers.members import Members
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context

KEPT = 4
"""Numbers kept for each that is dropped: draws, factors, what comes out, and its gradient."""


@dataclass(frozen=True)
class DropoutLayer(WithoutParameters):
    """What members drop of the inputs, or of the last hidden units; nothing where none drops anything."""

    name: str
    shape: Shape
    """Of what comes in and out."""
    of_inputs: bool = False

    def costs(self, trial: TrialSpec) -> Costs:
        """What it draws and makes, where the member drops anything."""
        given = trial.regularization
        drops = given.input_dropout if self.of_inputs else given.dropout + given.alpha_dropout
        numbers = prod(self.shape)
        return Costs(KEPT * numbers if drops else 0, numbers, 0, 0)

    def module(self, members: Members) -> Dropping:
        """What N members drop."""
        return Dropping(members.dropout, self.of_inputs)


class Dropping(nn.Module):
    """Dropout of N members."""

    def __init__(self, dropout: Dropout, of_inputs: bool) -> None:
        """Note what is dropped."""
        super().__init__()
        self._dropout, self._of_inputs = dropout, of_inputs

    def forward(self, values: Tensor, context: Context = EVALUATION) -> Tensor:
        """Drop numbers of values (N, B, *shape) in training."""
        if self._of_inputs:
            return self._dropout.of_inputs(values, context)
        terms = self._dropout.of_hidden(tuple(values.shape[2:]), context, last=True)
        return values if terms is None else terms.of(values)
