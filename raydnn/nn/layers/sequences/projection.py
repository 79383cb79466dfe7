"""The dense layer of a stack at every step of sequences (T, F)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.dense import dense_layout
from raydnn.nn.layers.layer import Row, Shape, Views, draw, row
from raydnn.nn.layers.members import Members
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout


def projected(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """xWᵀ + b at every step: (N, B, T, units) of inputs (N, B, T, F), each member's rows by one product."""
    rows = torch.baddbmm(bias.unsqueeze(1), inputs.flatten(1, 2), weight.mT)
    return rows.view(*inputs.shape[:-1], -1)


@dataclass(frozen=True)
class ProjectionLayer:
    """y_t ← x_t Wᵀ + b at every step, as torch.nn.Linear has it."""

    name: str
    inputs: Shape
    """(T, F)."""
    units: int

    @property
    def layout(self) -> Layout:
        """`NAME.weight` (units, F) and `NAME.bias` (units)."""
        return dense_layout(self.name, self.inputs[-1], self.units)

    @property
    def shape(self) -> Shape:
        """(T, units)."""
        return self.inputs[0], self.units

    def costs(self, _trial: TrialSpec) -> Costs:
        """What comes out, and its gradient."""
        numbers = prod(self.shape)
        return Costs(2 * numbers, numbers, numbers, numbers * self.inputs[-1])

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, _statistics: Views) -> None:
        """Draw the weights; biases are 0."""
        draw(self.layout, trial, parameters)

    def module(self, members: Members) -> Projection:
        """The layer of N members."""
        return Projection(members.parameters[f"{self.name}.weight"], members.parameters[f"{self.name}.bias"])


class Projection(nn.Module):
    """A dense layer of N members, at every step."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Wrap the weights (N, units, F) and biases (N, units), which stay views of the stack's matrix."""
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, inputs: Tensor, _context: Context = EVALUATION) -> Tensor:
        """Compute y of inputs (N, B, T, F)."""
        return projected(inputs, self.weight, self.bias)
