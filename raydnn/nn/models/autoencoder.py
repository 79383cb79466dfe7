"""Autoencoders as a stack: an encoder to a code, and its mirror, which reconstructs the inputs."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from torch import nn

from raydnn.data.inputs import Inputs
from raydnn.errors import job_error
from raydnn.nn.layers.coding import CorruptionLayer, SparsityLayer, Tied, TiedLayer
from raydnn.nn.layers.dense import DenseLayer
from raydnn.nn.layers.hidden import hidden_layer
from raydnn.nn.layers.layer import Layer, Shape
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.normalization import input_normalization
from raydnn.nn.layers.pictures.convolution import Geometry
from raydnn.nn.layers.pictures.pooling import flattening
from raydnn.nn.layers.pictures.transposed import TransposedConvolutionLayer
from raydnn.nn.layers.tail import tail_layer, takes_bias
from raydnn.nn.models.architecture import Architecture, Chain
from raydnn.nn.models.cnn import convolution_layer, picture_inputs
from raydnn.spec.axes.networks.autoencoder import Autoencoder
from raydnn.spec.trial import TrialSpec

STAGE = Geometry(kernel=3, stride=2, padding=1)
"""A convolution of a stage: it halves the sides of a picture, rounded up."""


def autoencoder(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """`encoder.0`, ... to the code, and `decoder.0`, ... back to as many numbers as an example has.

    Args:
        trial: A member.
        inputs: What the data are; pictures (H, W) or (C, H, W) where the model is convolutional.
        outputs: Numbers of an example.

    Raises:
        JobError: A convolutional one gets no pictures, or pictures too small for its stages; or sequences are padded.
    """
    model = trial.model
    assert isinstance(model, Autoencoder), "it is the builder of such models"
    if inputs.padded:
        raise job_error(
            "model", "autoencoder with padded sequences, whose steps that are none cannot be learned"
        )
    shape = inputs.shape
    layers = _convolutional(trial, model, inputs) if model.convolutional else _dense(trial, model, shape)
    assert prod(layers[-1].shape) == outputs == prod(shape), "what is learned are the inputs"
    if model.tied:
        # The last layer computes with the first one's weights.
        return Architecture(shape, tuple(layers), TiedChain, "encoder.0")
    return Architecture(shape, tuple(layers), Chain)


def _dense(trial: TrialSpec, model: Autoencoder, shape: Shape) -> list[Layer]:
    widths = (prod(shape), *model.widths)
    layers: list[Layer] = [flattening("rows", shape), CorruptionLayer("corruption", widths[:1])]
    layers += input_normalization(trial, widths[:1])
    for number, (fan_in, fan_out) in enumerate(pairwise(widths)):
        last = number == len(model.widths) - 1 == 0
        layers.append(hidden_layer(trial, f"encoder.{number}", fan_in, fan_out, is_last=last, by_hand=False))
    layers.append(SparsityLayer("sparsity", widths[-1:]))
    for number, (fan_in, fan_out) in enumerate(pairwise(widths[::-1])):
        name, hidden = f"decoder.{number}", number < len(model.widths) - 1
        last = number == len(model.widths) - 2
        if model.tied:
            tail = tail_layer(trial, name, (fan_out,), is_last=last) if hidden else None
            bias = not hidden or takes_bias(trial)
            other = f"encoder.{len(model.widths) - 1 - number}"
            layers.append(TiedLayer(name, other, fan_in, fan_out, bias, tail))
        elif hidden:
            layers.append(hidden_layer(trial, name, fan_in, fan_out, is_last=last, by_hand=False))
        else:
            layers.append(DenseLayer(name, fan_in, fan_out))
    return layers


def _convolutional(trial: TrialSpec, model: Autoencoder, inputs: Inputs) -> list[Layer]:
    shape = inputs.shape
    picture, *_ = picture_inputs(trial, shape)
    norms = input_normalization(trial, picture.shape)
    layers: list[Layer] = [picture, CorruptionLayer("corruption", picture.shape), *norms]
    pictures = [picture.shape]
    for number, channels in enumerate(model.widths):
        if max(pictures[-1][1:]) == 1:
            raise job_error(
                "model.widths",
                f"{len(model.widths)} stages with pictures of {shape[-2]} × {shape[-1]}, of which {number} leave a "
                f"single pixel; at most {number} are allowed",
            )
        last = number == len(model.widths) - 1 == 0
        layers.append(
            convolution_layer(trial, f"encoder.{number}", pictures[-1], channels, STAGE, is_last=last)
        )
        pictures.append(layers[-1].shape)
    layers.append(SparsityLayer("sparsity", pictures[-1]))
    for number, (given, wanted) in enumerate(pairwise(pictures[::-1])):
        name, hidden = f"decoder.{number}", number < len(model.widths) - 1
        # A side that was even has lost its last row, whose place is added again.
        height, width = (1 - side % 2 for side in wanted[1:])
        tail = tail_layer(trial, name, wanted, is_last=number == len(model.widths) - 2) if hidden else None
        layers.append(
            TransposedConvolutionLayer(
                name, given, wanted[0], STAGE, (height, width), not hidden or takes_bias(trial), tail
            )
        )
    return [*layers, flattening("flatten", layers[-1].shape)]


class TiedChain(Chain):
    """Layers one after another, some with the weights of an earlier one."""

    def __init__(self, architecture: Architecture, members: Members) -> None:
        """Make the layers' modules, and tie them."""
        super().__init__(architecture, members)
        for layer in architecture.layers:
            if isinstance(layer, TiedLayer):
                tied: nn.Module = self.get_submodule(layer.name)
                assert isinstance(tied, Tied), "it is the module of such a layer"
                tied.tie(self.get_submodule(layer.other))
