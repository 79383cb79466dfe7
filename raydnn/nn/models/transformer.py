"""A transformer's encoder as a stack, over sequences of numbers or tokens, or patches of pictures."""

from __future__ import annotations

from raydnn.data.inputs import Inputs
from raydnn.errors import job_error
from raydnn.nn.layers.dense import DenseLayer
from raydnn.nn.layers.layer import Layer, Shape
from raydnn.nn.layers.normalization import normalization_layer
from raydnn.nn.layers.pictures.convolution import ConvolutionLayer, Geometry
from raydnn.nn.layers.pictures.pooling import FixedLayer
from raydnn.nn.layers.sequences.attention import AttentionLayer
from raydnn.nn.layers.sequences.embedding import PositionsLayer
from raydnn.nn.layers.sequences.encoder import EncoderLayer
from raydnn.nn.layers.sequences.projection import ProjectionLayer
from raydnn.nn.layers.sequences.steps import ReadoutLayer
from raydnn.nn.models.architecture import Architecture
from raydnn.nn.models.cnn import picture_inputs
from raydnn.nn.models.sequences import composed, normalized, sequence_inputs
from raydnn.spec.axes.activation import Prelu
from raydnn.spec.axes.networks.sequence import Transformer
from raydnn.spec.axes.normalization import BatchNorm
from raydnn.spec.trial import TrialSpec


def transformer(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """`embedding`, `projection` or `patches`; `positions`; the blocks `encoder.layers.0`, ...; `readout`; `layers.0`.

    Args:
        trial: A member.
        inputs: What the data are.
        outputs: Units of the output layer.

    Raises:
        JobError: The inputs are neither sequences nor pictures, or patches do not divide them.
    """
    model = trial.model
    assert isinstance(model, Transformer), "it is the builder of such models"
    normalization = trial.normalization
    if isinstance(normalization, BatchNorm) and inputs.padded:
        message = "batch_norm with padded sequences, whose padding would be a part of its batches"
        raise job_error("normalization", f"{message}; allowed: layer_norm, group_norm, none")
    pictures = len(inputs.shape) == 3 or (inputs.is_picture and len(inputs.shape) == 2)
    layers = _patches(trial, model, inputs) if pictures else _steps(trial, model, inputs)
    if model.positions != "none":
        layers.append(PositionsLayer("positions", layers[-1].shape, model.positions == "learned"))
    for number in range(model.layers):
        layers.append(encoder_layer(trial, model, f"encoder.layers.{number}", layers[-1].shape, number))
    if model.norm == "first":
        layers += normalized(trial, "encoder.norm", layers[-1].shape)
    layers.append(ReadoutLayer("readout", layers[-1].shape, model.readout))
    layers.append(DenseLayer("layers.0", layers[-1].shape[0], outputs))
    return composed(inputs, layers)


def encoder_layer(trial: TrialSpec, model: Transformer, name: str, shape: Shape, number: int) -> EncoderLayer:
    """One block, (T, D) to (T, D)."""
    widening = ProjectionLayer(f"{name}.linear1", shape, model.feedforward)
    norms = (normalization_layer(trial, f"{name}.norm{which}", shape) for which in (1, 2))
    return EncoderLayer(
        name,
        AttentionLayer(
            f"{name}.self_attn", shape, model.heads, model.causal, is_last=number == model.layers - 1
        ),
        widening,
        ProjectionLayer(f"{name}.linear2", widening.shape, shape[1]),
        tuple(norm for norm in norms if norm is not None),
        first=model.norm == "first",
        slopes=isinstance(trial.activation, Prelu),
    )


def _steps(trial: TrialSpec, model: Transformer, inputs: Inputs) -> list[Layer]:
    """Steps of `width` features: tokens embedded, or numbers projected."""
    layers = sequence_inputs(trial, inputs, model.width)
    if len(inputs.shape) > 1:
        layers.append(ProjectionLayer("projection", layers[-1].shape, model.width))
    return layers


def _patches(trial: TrialSpec, model: Transformer, inputs: Inputs) -> list[Layer]:
    """A step for each patch of a picture, row by row (Dosovitskiy et al. 2021)."""
    height, width = inputs.shape[-2:]
    if height % model.patch or width % model.patch:
        message = f"{model.patch} with pictures of {height} × {width}"
        sides = [side for side in range(1, min(height, width) + 1) if not (height % side or width % side)]
        raise job_error("model.patch", f"{message}; allowed: {', '.join(map(str, sides))}")
    layers = picture_inputs(trial, inputs.shape)
    geometry = Geometry(model.patch, model.patch)
    patches = ConvolutionLayer("patches", layers[-1].shape, model.width, geometry)
    steps = patches.shape[1] * patches.shape[2]
    as_steps = FixedLayer("steps", (steps, model.width), lambda values: values.flatten(3).transpose(2, 3))
    return [*layers, patches, as_steps]
