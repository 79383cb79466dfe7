"""Residual networks of the CIFAR family as a stack (He et al. 2016, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from raydnn.data.inputs import Inputs
from raydnn.nn.layers.dense import DenseLayer
from raydnn.nn.layers.layer import Layer, Shape
from raydnn.nn.layers.normalization import normalization_layer
from raydnn.nn.layers.pictures.convolution import ConvolutionLayer, Geometry
from raydnn.nn.layers.pictures.pooling import global_average, pooling
from raydnn.nn.layers.pictures.residual import ResidualLayer, padded
from raydnn.nn.models.architecture import Architecture, Chain
from raydnn.nn.models.cnn import check_size, convolution_layer, picture_inputs
from raydnn.spec.axes.networks.convolutional import ResNet
from raydnn.spec.axes.normalization import BatchNorm
from raydnn.spec.trial import TrialSpec

LARGE_PICTURE = 64
"""Pictures with a longer side than this get the stem of large pictures."""
STAGES = 3


def resnet(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """`stem`, three stages of n blocks of two 3 × 3 convolutions, with w, 2w and 4w channels, and `layers.0`.

    A later stage's first block halves the positions. Depth 6n + 2 counts the layers with weights, shortcuts aside.

    Args:
        trial: A member.
        inputs: What the data are: pictures, (H, W) or (C, H, W).
        outputs: Units of the output layer.

    Raises:
        JobError: The examples are no pictures, or too small.
    """
    model = trial.model
    assert isinstance(model, ResNet), "it is the builder of such models"
    layers = picture_inputs(trial, inputs.shape)
    large = max(inputs.shape[-2:]) > LARGE_PICTURE if model.stem == "auto" else model.stem == "large"
    stem = Geometry(7, 2, 3) if large else Geometry(3, 1, 1)
    layers.append(convolution_layer(trial, "stem", layers[-1].shape, model.width, stem))
    if large:
        layers.append(pooling("pool", layers[-1].shape, "max", kernel=3, stride=2, padding=1))
    blocks = (model.depth - 2) // (2 * STAGES)
    for stage in range(STAGES):
        for number in range(stage * blocks, (stage + 1) * blocks):
            stride = 2 if stage and number == stage * blocks else 1
            is_last = number == STAGES * blocks - 1
            layers += _block(trial, model, number, layers[-1].shape, model.width << stage, stride, is_last)
    check_size(layers[-1].shape, inputs.shape, "model.stem", "a residual network")
    layers.append(global_average("average", layers[-1].shape))
    layers.append(DenseLayer("layers.0", layers[-1].shape[0], outputs))
    return Architecture(inputs.shape, tuple(layers), Chain)


def _block(
    trial: TrialSpec, model: ResNet, number: int, inputs: Shape, channels: int, stride: int, is_last: bool
) -> list[Layer]:
    """One block with its shortcut, or without it just two convolutions."""
    name = f"blocks.{number}"
    first = convolution_layer(trial, f"{name}.convolutions.0", inputs, channels, Geometry(3, stride, 1))
    second = convolution_layer(
        trial,
        f"{name}.convolutions.1",
        first.shape,
        channels,
        Geometry(3, 1, 1),
        ends_block=model.skip,
        is_last=is_last,
    )
    if not model.skip:
        return [first, second]
    return [
        ResidualLayer(
            name, (first, second), _shortcut(trial, model, f"{name}.shortcut", inputs, first, stride)
        )
    ]


def _shortcut(
    trial: TrialSpec, model: ResNet, name: str, inputs: Shape, first: ConvolutionLayer, stride: int
) -> tuple[Layer, ...]:
    """What brings a block's inputs to the shape of its outputs; nothing where they have it."""
    if inputs == first.shape:
        return ()
    if model.shortcut == "A":
        return (padded(name, inputs, first.shape),)
    projection = ConvolutionLayer(
        f"{name}.0",
        inputs,
        first.channels,
        Geometry(1, stride),
        bias=not isinstance(trial.normalization, BatchNorm),
    )
    norm = normalization_layer(trial, f"{name}.1", projection.shape)
    return (projection,) if norm is None else (projection, norm)
