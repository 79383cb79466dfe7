"""Convolutional networks as a stack: plain stages of convolutions, and residual networks of the CIFAR family."""

from __future__ import annotations

from itertools import pairwise

from raydnn.data.inputs import Inputs
from raydnn.errors import job_error
from raydnn.nn.layers.dense import DenseLayer
from raydnn.nn.layers.dropping import DropoutLayer
from raydnn.nn.layers.hidden import hidden_layer
from raydnn.nn.layers.layer import Layer, Shape
from raydnn.nn.layers.normalization import input_normalization
from raydnn.nn.layers.pictures.convolution import ConvolutionLayer, Geometry
from raydnn.nn.layers.pictures.pooling import as_picture, flattening, pooling
from raydnn.nn.layers.tail import tail_layer, takes_bias
from raydnn.nn.models.architecture import Architecture, Chain
from raydnn.spec.axes.networks.convolutional import Cnn
from raydnn.spec.trial import TrialSpec


def cnn(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """Stages of convolutions `convolutions.0`, ..., pooled by 2 or with a stride, then dense layers `layers.0`, ...

    Args:
        trial: A member.
        inputs: What the data are: pictures, (H, W) or (C, H, W).
        outputs: Units of the output layer.

    Raises:
        JobError: The examples are no pictures, or too small for the stages.
    """
    model = trial.model
    assert isinstance(model, Cnn), "it is the builder of such models"
    layers = picture_inputs(trial, inputs.shape)
    for stage, channels in enumerate(model.channels):
        for convolution in range(model.convolutions):
            last = convolution == model.convolutions - 1
            stride = 2 if last and model.pooling == "stride" else 1
            number = stage * model.convolutions + convolution
            geometry = Geometry(model.kernel, stride, model.kernel // 2)
            is_last = number == len(model.channels) * model.convolutions - 1 and not model.widths
            layers.append(
                convolution_layer(
                    trial, f"convolutions.{number}", layers[-1].shape, channels, geometry, is_last=is_last
                )
            )
        if model.pooling != "stride":
            layers.append(pooling(f"pools.{stage}", layers[-1].shape, model.pooling))
        check_size(layers[-1].shape, inputs.shape, "model.channels", f"{len(model.channels)} stages")
    layers.append(flattening("flatten", layers[-1].shape))
    for number, (fan_in, fan_out) in enumerate(pairwise((layers[-1].shape[0], *model.widths))):
        last = number == len(model.widths) - 1
        layers.append(hidden_layer(trial, f"layers.{number}", fan_in, fan_out, is_last=last, by_hand=False))
    layers.append(DenseLayer(f"layers.{len(model.widths)}", layers[-1].shape[0], outputs))
    return Architecture(inputs.shape, tuple(layers), Chain)


def picture_inputs(trial: TrialSpec, shape: Shape) -> list[Layer]:
    """The first layers of a network for pictures: channels of (H, W), `input_norm` where wanted, dropout of inputs.

    Raises:
        JobError: The examples are no pictures.
    """
    if len(shape) not in (2, 3):
        told = " × ".join(map(str, shape))
        raise job_error(
            "model",
            f"{trial.model.name} with examples of shape {told}; needed: pictures, (H, W) or (C, H, W)",
        )
    picture = as_picture("picture", shape)
    dropout = DropoutLayer("input_dropout", picture.shape, of_inputs=True)
    return [picture, *input_normalization(trial, picture.shape), dropout]


def convolution_layer(
    trial: TrialSpec,
    name: str,
    inputs: Shape,
    channels: int,
    geometry: Geometry,
    *,
    ends_block: bool = False,
    is_last: bool = False,
) -> ConvolutionLayer:
    """The convolution that a trial's normalization and activation make; see `tail_layer`."""
    plain = ConvolutionLayer(name, inputs, channels, geometry, bias=takes_bias(trial))
    tail = tail_layer(trial, name, plain.shape, ends_block=ends_block, is_last=is_last)
    return ConvolutionLayer(name, inputs, channels, geometry, plain.bias, tail)


def check_size(left: Shape, shape: Shape, field: str, what: str) -> None:
    """Raise a JobError where nothing is left of a picture."""
    if min(left[1:]) < 1:
        height, width = shape[-2:]
        raise job_error(
            field, f"{what} with pictures of {height} × {width}, of which nothing is left; fewer are needed"
        )
