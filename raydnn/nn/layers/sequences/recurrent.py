"""Recurrent layers of a stack along sequences (T, F): the simple one, LSTM and GRU.

What computes them is told by the device and the number of members alone, as measured. On a CPU an LSTM in float32 is
torch's own kernel, member by member, and all else the loop of `raydnn.nn.layers.sequences.recurrence` over all
members at once, which is faster than torch's. On a GPU one member is computed by torch's own kernels, several by the
loop.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.autograd import Function

from raydnn.nn.activations import BY_HAND
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, draw, drawn_weight, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.sequences.recurrence import Gru, Lstm, Simple, stepped
from raydnn.nn.layers.sequences.steps import reversed_steps
from raydnn.spec.axes.activation import Prelu
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""Cell → gates, whose rows stand one below the other in its weights, in torch's order."""
KEPT = {"rnn": 2, "lstm": 8, "gru": 9}
"""Cell → numbers that it keeps of each unit and step."""
PASSING = {"rnn": 1, "lstm": 5, "gru": 9}
"""Cell → numbers of each unit and step that its backward pass has beside those kept."""


@dataclass(frozen=True)
class RecurrentLayer:
    """Recurrent layers one after another, as torch.nn.RNN, LSTM and GRU have them: what each gives at every step."""

    name: str
    cell: str
    """`rnn`, `lstm` or `gru`."""
    inputs: Shape
    """(T, F)."""
    units: int
    layers: int = 1
    bidirectional: bool = False
    slopes: bool = False
    """Whether the slopes of the recurrence's activation are learned, `NAME.alpha_l0`, ..."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of the parameters of each direction end with."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def layout(self) -> Layout:
        """`NAME.weight_ih_l0` (gates · units, F), `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, ... as torch has them."""
        parameters: dict[str, Parameter] = {}
        gates = GATES[self.cell] * self.units
        for number in range(self.layers):
            features = len(self.suffixes) * self.units if number else self.inputs[-1]
            for suffix in self.suffixes:
                end = f"l{number}{suffix}"
                for of, size in (("ih", features), ("hh", self.units)):
                    # Its fans are those of a gate.
                    parameters[f"{self.name}.weight_{of}_{end}"] = Parameter(
                        (gates, size), Role.WEIGHT, self.name, size, self.units
                    )
                for of in ("ih", "hh"):
                    parameters[f"{self.name}.bias_{of}_{end}"] = Parameter((gates,), Role.BIAS, self.name)
                if self.slopes:
                    parameters[f"{self.name}.alpha_{end}"] = Parameter((self.units,), Role.SLOPE, self.name)
        return Layout(parameters)

    @property
    def shape(self) -> Shape:
        """(T, directions · units)."""
        return self.inputs[0], len(self.suffixes) * self.units

    def costs(self, trial: TrialSpec) -> Costs:
        """Every layer keeps its gates, its states and what it gives, and what dropout leaves of that."""
        steps, width = self.shape
        drops = self.layers > 1 and trial.regularization.dropout > 0
        weights = [each for each in self.layout.parameters.values() if each.role is Role.WEIGHT]
        numbers = steps * width
        return Costs(
            (KEPT[self.cell] * self.layers + 2 * drops * (self.layers - 1)) * numbers,
            GATES[self.cell] * numbers,
            (GATES[self.cell] + 2) * self.layers * numbers,
            steps * sum(weight.count for weight in weights),
            passing=PASSING[self.cell] * steps * self.units,  # one direction after the other
        )

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, _statistics: Views) -> None:
        """Draw the weights gate by gate, each as the matrix of a layer of its own; biases are 0."""
        others = {name: each for name, each in self.layout.parameters.items() if each.role is not Role.WEIGHT}
        draw(Layout(others), trial, parameters)
        for name, weight in self.layout.having(Role.WEIGHT).items():
            gate = replace(weight, shape=(self.units, weight.shape[1]))
            for number, place in enumerate(parameters[name].view(-1, self.units, weight.shape[1])):
                place.copy_(drawn_weight(trial, f"{name}.{number}", gate))

    def module(self, members: Members) -> Recurrent:
        """The layers of N members."""
        return Recurrent(self, members)


def recurrent_layer(
    trial: TrialSpec, name: str, inputs: Shape, units: int, layers: int, bidirectional: bool
) -> RecurrentLayer:
    """The layers of the cell that a trial's model is named after."""
    cell = str(trial.model.name)
    slopes = cell == "rnn" and isinstance(trial.activation, Prelu)
    return RecurrentLayer(name, cell, inputs, units, layers, bidirectional, slopes)


class Recurrent(nn.Module):
    """Recurrent layers of N members."""

    def __init__(self, layer: RecurrentLayer, members: Members) -> None:
        """Wrap parameters, which stay views of the stack's matrix."""
        super().__init__()
        for name, values in named_under(layer.name, members.parameters).items():
            self.register_parameter(name, nn.Parameter(values))
        self._layer, self._dropout, self._groups = layer, members.dropout, members.activations

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute what the last layer gives at every step, (N, B, T, directions · H), of inputs (N, B, T, F)."""
        values = inputs
        for number in range(self._layer.layers):
            if number:
                dropped = self._dropout.of_hidden(tuple(values.shape[2:]), context, last=False)
                values = values if dropped is None else dropped.of(values)
            given = [
                self._direction(values, f"l{number}", suffix, context) for suffix in self._layer.suffixes
            ]
            values = given[0] if len(given) == 1 else torch.cat(given, dim=-1)
        return values

    def _direction(self, values: Tensor, number: str, suffix: str, context: Context) -> Tensor:
        """One layer in one direction; the reverse one reads each sequence from its last step to its first."""
        end = f"{number}{suffix}"
        weights = [getattr(self, f"{which}_{end}") for which in WEIGHTS]
        own = reversed_steps(values, context.present) if suffix else values
        device = values.device.type
        lowered = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weights[0].dtype
        # The inputs' products are lowered. What adds up over many steps keeps the weights' own precision.
        with torch.autocast(device, enabled=False):
            hidden = self._computed(own.to(lowered), weights, getattr(self, f"alpha_{end}", None), context)
        return reversed_steps(hidden, context.present) if suffix else hidden

    def _computed(
        self, inputs: Tensor, weights: Sequence[Tensor], alpha: Tensor | None, context: Context
    ) -> Tensor:
        kernel = self._kernel(inputs)
        if kernel is not None:
            return _by_kernel(kernel, inputs, weights)
        # Step by step, so that what a step needs lies together.
        by_step = inputs.transpose(1, 2)
        if self._layer.cell != "rnn":
            hidden: Tensor = LOOPS[self._layer.cell].apply(by_step, *weights)  # type: ignore[no-untyped-call]
        elif all(group.name in BY_HAND for group in self._groups):
            hidden = Simple.apply(self._groups, by_step, *weights)  # type: ignore[no-untyped-call]
        else:
            hidden = stepped(by_step, weights, self._groups, context, alpha)
        return hidden.transpose(1, 2)

    def _kernel(self, inputs: Tensor) -> Callable[..., tuple[Tensor, ...]] | None:
        """Torch's own kernel, where it is the one that computes; None: the loop."""
        cell = self._layer.cell
        if inputs.device.type == "cpu":
            return torch.lstm if cell == "lstm" and inputs.dtype == torch.float32 and HAS_ONEDNN else None
        name = f"rnn_{self._groups[0].name}" if cell == "rnn" else cell
        return KERNELS.get(name) if len(inputs) == 1 else None


WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""What a layer has in each direction, in torch's order."""
LOOPS: dict[str, type[Function]] = {"lstm": Lstm, "gru": Gru}
HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
"""Whether a CPU's torch has a kernel of LSTM that goes through all steps."""
KERNELS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "rnn_tanh": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
    "lstm": torch.lstm,
    "gru": torch.gru,
}


def _by_kernel(
    kernel: Callable[..., tuple[Tensor, ...]], inputs: Tensor, weights: Sequence[Tensor]
) -> Tensor:
    """What a kernel gives, (N, B, T, H), of inputs (N, B, T, F), member by member."""
    units = weights[1].shape[-1]
    zeros = inputs.new_zeros(1, inputs.shape[1], units)
    state = (zeros, zeros) if kernel is torch.lstm else zeros
    found = []
    with warnings.catch_warnings():
        # Weights are views of the stack's matrix, where they cannot lie as cuDNN would have them.
        warnings.filterwarnings(
            "ignore", message="RNN module weights are not part of single contiguous chunk"
        )
        for own, *of_member in zip(inputs, *(each.unbind() for each in weights), strict=True):
            given = kernel(
                own,
                state,
                [each.to(own.dtype) for each in of_member],
                True,
                1,
                0.0,
                torch.is_grad_enabled(),
                False,
                True,
            )
            found.append(given[0])
    hidden = found[0].unsqueeze(0) if len(found) == 1 else torch.stack(found)
    return hidden.to(weights[0].dtype)
