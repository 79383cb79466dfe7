"""Models by name: what makes an architecture of a model's spec."""

from __future__ import annotations

from collections.abc import Callable

from raydnn.data.inputs import Inputs
from raydnn.nn.models.architecture import Architecture
from raydnn.nn.models.autoencoder import autoencoder
from raydnn.nn.models.cnn import cnn
from raydnn.nn.models.mlp import mlp
from raydnn.nn.models.recurrent import recurrent
from raydnn.nn.models.resnet import resnet
from raydnn.nn.models.transformer import transformer
from raydnn.nn.models.users.module import user_module
from raydnn.spec.trial import TrialSpec

MODELS: dict[str, Callable[[TrialSpec, Inputs, int], Architecture]] = {
    "perceptron": mlp,
    "mlp": mlp,
    "residual_mlp": mlp,
    "cnn": cnn,
    "resnet": resnet,
    "rnn": recurrent,
    "lstm": recurrent,
    "gru": recurrent,
    "transformer": transformer,
    "autoencoder": autoencoder,
    "module": user_module,
}
"""Name → (member, what the data are, outputs) → its architecture; the names are those of its spec."""


def architecture(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """The architecture of a trial's network."""
    return MODELS[trial.model.name](trial, inputs, outputs)
