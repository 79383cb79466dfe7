"""A toy layer, a toy model of it and a toy optimizer, each an addition behind its seam and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from raydnn.data.inputs import Inputs
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, draw, row
from raydnn.nn.layers.members import Members
from raydnn.nn.models.architecture import Architecture, Chain
from raydnn.optim.optimizers.registry import Family
from raydnn.optim.optimizers.step import Coefficients, Horizon, State, Step
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role


@dataclass(frozen=True)
class GatedLayer:
    """y ← σ(xG + b) · (xW), with dropout in training: each unit has a gate of its own."""

    name: str
    inputs: int
    units: int

    @property
    def layout(self) -> Layout:
        """`NAME.weight` and `NAME.gate` (units, inputs), and `NAME.bias` (units)."""
        shape = (self.units, self.inputs)
        weights = {
            f"{self.name}.{which}": Parameter(shape, Role.WEIGHT, self.name, self.inputs, self.units)
            for which in ("weight", "gate")
        }
        return Layout({**weights, f"{self.name}.bias": Parameter((self.units,), Role.BIAS, self.name)})

    @property
    def shape(self) -> Shape:
        """(units,)."""
        return (self.units,)

    def costs(self, _trial: TrialSpec) -> Costs:
        """Twice those of a dense layer."""
        return Costs(8 * self.units, self.units, 2 * self.units, 2 * self.inputs * self.units)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, _statistics: Views) -> None:
        """As the roles say."""
        draw(self.layout, trial, parameters)

    def module(self, members: Members) -> nn.Module:
        """The layer of N members."""
        return Gated(self, members)


class Gated(nn.Module):
    """Gated layers of N members."""

    def __init__(self, layer: GatedLayer, members: Members) -> None:
        """Wrap parameters."""
        super().__init__()
        for which in ("weight", "gate", "bias"):
            self.register_parameter(which, nn.Parameter(members.parameters[f"{layer.name}.{which}"]))
        self._units, self._dropout = layer.units, members.dropout

    def forward(self, inputs: Tensor, context: Context) -> Tensor:
        """(N, B, ...) → (N, B, units)."""
        rows = inputs.flatten(2)
        gates = (rows @ self.gate.mT + self.bias.unsqueeze(1)).sigmoid()
        hidden: Tensor = gates * (rows @ self.weight.mT)
        dropped = self._dropout.of_hidden((self._units,), context, last=False)
        return hidden if dropped is None else dropped.of(hidden)


def gated(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """Gated layers of the model's widths and, without dropout, one for the outputs."""
    sizes = pairwise((prod(inputs.shape), *trial.model.hidden_widths, outputs))
    layers = [GatedLayer(f"layers.{number}", *fans) for number, fans in enumerate(sizes)]
    return Architecture(inputs.shape, tuple(layers), Chain)


def averaging_coefficients(plan: Horizon) -> Coefficients:
    """−η."""
    return {"minus_lr": -plan.lr}


def averaging(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ − η·(g + m/10), m ← (m + g)/2."""
    mean = state["mean"].add_(gradients).mul_(0.5)
    parameters.addcmul_(gradients.add_(mean, alpha=0.1), step["minus_lr"])


AVERAGING = Family(averaging_coefficients, averaging, buffers=("mean",))
