"""Recurrent networks as a stack: the simple one, LSTM and GRU."""

from __future__ import annotations

from raydnn.data.inputs import Inputs
from raydnn.nn.layers.dense import DenseLayer
from raydnn.nn.layers.dropping import DropoutLayer
from raydnn.nn.layers.sequences.recurrent import recurrent_layer
from raydnn.nn.layers.sequences.steps import ReadoutLayer
from raydnn.nn.models.architecture import Architecture
from raydnn.nn.models.sequences import composed, normalized, sequence_inputs
from raydnn.spec.axes.networks.sequence import RecurrentNetwork
from raydnn.spec.trial import TrialSpec


def recurrent(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """`embedding` of tokens; `rnn`, `lstm` or `gru`; `readout`, perhaps `norm`; and `layers.0`.

    Args:
        trial: A member.
        inputs: What the data are.
        outputs: Units of the output layer.

    Raises:
        JobError: The inputs are no sequences.
    """
    model = trial.model
    assert isinstance(model, RecurrentNetwork), "it is the builder of such models"
    layers = sequence_inputs(trial, inputs, model.units)
    layers.append(
        recurrent_layer(
            trial, str(model.name), layers[-1].shape, model.units, model.layers, model.bidirectional
        )
    )
    layers.append(ReadoutLayer("readout", layers[-1].shape, model.readout, model.bidirectional))
    layers += normalized(trial, "norm", layers[-1].shape)
    layers.append(DropoutLayer("dropout", layers[-1].shape))
    layers.append(DenseLayer("layers.0", layers[-1].shape[0], outputs))
    return composed(inputs, layers)
