"""What a layer says of itself before it is trained, and how it becomes the module that computes it for N members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from raydnn.nn.initializers import INITIALIZERS
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.members import Members
from raydnn.spec.axes.activation import Prelu
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.layout import Layout
from raydnn.stacking.random import generator
from raydnn.stacking.roles import Parameter, Role

Shape = tuple[int, ...]
"""Of one example: (features,), (channels, height, width), ..."""
Views = dict[str, Tensor]
"""Parameter → its values for n members, (n, *shape), a view of the stack's matrix."""


@dataclass(frozen=True)
class Row:
    """A row of the printed summary."""

    name: str
    shape: Shape
    """Of what comes out of one example."""
    parameters: int
    operations: int
    """Multiply-adds of a forward pass, an example and member."""


class Layer(Protocol):
    """One layer of a network, the same for all members of a stack; `raydnn.nn.layers` says how to add one."""

    @property
    def name(self) -> str:
        """Name in the network, which the names of its parameters begin with."""

    @property
    def layout(self) -> Layout:
        """Its parameters, each with its role, and its running averages; names are those in the whole network."""

    @property
    def shape(self) -> Shape:
        """Shape of what comes out."""

    def costs(self, trial: TrialSpec) -> Costs:
        """What it costs a member like this trial."""

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """Its rows of the printed summary, of a member like this trial; most layers have one, that of `row`."""

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Give the parameters and averages of one member their first values, in place; they are zeros before."""

    def module(self, members: Members) -> nn.Module:
        """The layer of N members: (inputs (N, B, *shape), context) → (N, B, *shape of what comes out)."""


class WithoutParameters:
    """What layers that learn nothing have in common."""

    @property
    def layout(self) -> Layout:
        """Nothing."""
        return Layout({})

    def rows(self, _trial: TrialSpec) -> tuple[Row, ...]:
        """None, unless it is a layer to a reader."""
        return ()

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Nothing."""


def row(layer: Layer, trial: TrialSpec) -> tuple[Row]:
    """The one row of a layer in the printed summary."""
    return (Row(layer.name, layer.shape, layer.layout.count, layer.costs(trial).operations),)


def draw(layout: Layout, trial: TrialSpec, parameters: Views) -> None:
    """Give parameters the first values that their roles say, in place.

    Weights are drawn by the trial's initializer, scales are 1, learned slopes as given, all else stays 0. Every
    parameter has a generator of its own, keyed by the trial's seed and the parameter's name.

    Args:
        layout: Of a layer.
        trial: The member.
        parameters: Its parameters, (1, *shape) each.
    """
    for name, parameter in layout.parameters.items():
        view = parameters[name]
        if parameter.role is Role.WEIGHT:
            view[0] = drawn_weight(trial, name, parameter)
        elif parameter.role is Role.SLOPE and isinstance(trial.activation, Prelu):
            view.fill_(trial.activation.alpha)
        elif parameter.role is Role.SCALE:
            view.fill_(1.0)


def drawn_weight(trial: TrialSpec, name: str, weight: Parameter) -> Tensor:
    """A weight as the trial's initializer draws it, in its shape: a row for each unit of what comes into it."""
    units = weight.shape[weight.unit_axis]
    stream = generator("init", trial.seed, name)
    matrix = INITIALIZERS[trial.init.name](
        trial.init, (weight.count // units, units), weight.fan_in, weight.fan_out, stream
    )
    others = [size for axis, size in enumerate(weight.shape) if axis != weight.unit_axis]
    return matrix.T.reshape(units, *others).movedim(0, weight.unit_axis)
