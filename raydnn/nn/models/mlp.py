"""The multi-layer perceptron as a stack: N members, every weight with a leading member dimension."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from raydnn.data.inputs import Inputs
from raydnn.nn.layers.dense import DenseLayer
from raydnn.nn.layers.hidden import Hidden, HiddenLayer, hidden_layer
from raydnn.nn.layers.layer import Layer
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.norm_layer import normalize
from raydnn.nn.layers.normalization import NormalizationLayer, input_normalization
from raydnn.nn.models.architecture import Architecture, of_members
from raydnn.nn.models.recomputing import State, Step, recomputed
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context


def mlp(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """The layers of a perceptron: `layers.0`, ..., and before them `input_norm` where inputs are normalized.

    A hidden layer has no bias where batch norm would take it away again; blocks that skip two hidden layers end
    where the spec of the model says.

    Args:
        trial: A member.
        inputs: What the data are.
        outputs: Units of the output layer.
    """
    model = trial.model
    widths, ends = model.hidden_widths, frozenset(model.block_ends)
    features = prod(inputs.shape)
    layers: list[Layer] = [*input_normalization(trial, (features,))]
    for number, (fan_in, fan_out) in enumerate(pairwise((features, *widths))):
        layers.append(
            hidden_layer(
                trial,
                f"layers.{number}",
                fan_in,
                fan_out,
                ends_block=number in ends,
                starts_block=bool(ends) and (number == 0 or number in ends),
                is_last=number == len(widths) - 1,
            )
        )
    layers.append(DenseLayer(f"layers.{len(widths)}", widths[-1] if widths else features, outputs))
    return Architecture(inputs.shape, tuple(layers), Mlp)


class Mlp(nn.Module):
    """N perceptrons at once: hidden layers, then a dense layer for the outputs."""

    def __init__(self, architecture: Architecture, members: Members) -> None:
        """Make the layers' modules; the names of their parameters are those of the layout."""
        super().__init__()
        layers = architecture.layers
        norms = [layer.module(members) for layer in layers if isinstance(layer, NormalizationLayer)]
        hidden = [layer.module(members) for layer in layers if isinstance(layer, HiddenLayer)]
        (output,) = (layer.module(members) for layer in layers if isinstance(layer, DenseLayer))
        self.input_norm = norms[0] if norms else None
        # Registered first, so that the names of the parameters are those of the layout.
        self.layers = nn.ModuleList([*hidden, output])
        self.hidden, self.output = tuple(hidden), output
        self.dropout = members.dropout
        self.members = len(members.trials)
        self._inputs = architecture.inputs
        self._recomputes = members.trials[0].train.recompute
        self._steps: list[Step] = []
        if self._recomputes:
            self._steps = [*map(_step, hidden), lambda state, _: (output(state[0]), None)]

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute the outputs.

        Args:
            inputs: (B, *shape) or (1, B, *shape), shared by all members, or (N, B, *shape).
            context: Of the forward pass.

        Returns:
            Outputs (N, B, K).
        """
        hidden = self.begin(inputs, context)
        if self._recomputes and context.trains:
            return recomputed(self, self._steps, hidden, context)
        skip = None
        for layer in self.hidden:
            hidden = layer(hidden, context, skip if layer.tail.ends_block else None)
            if layer.tail.starts_block:
                skip = hidden
        outputs: Tensor = self.output(hidden)
        return outputs

    def begin(self, inputs: Tensor, context: Context) -> Tensor:
        """What the first layer gets (N, B, features): the inputs in rows, normalized and dropped where asked for."""
        rows = of_members(inputs, self._inputs, self.members).flatten(2)
        return self.dropout.of_inputs(normalize(self.input_norm, rows, context), context)


def _step(layer: Hidden) -> Step:
    def step(state: State, context: Context) -> State:
        hidden, skip = state
        found = layer(hidden, context, skip if layer.tail.ends_block else None)
        return found, found if layer.tail.starts_block else skip

    return step
