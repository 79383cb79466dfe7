"""What all models for sequences begin with, and how padding passes through their layers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from raydnn.data.augmentation.augment import check_images
from raydnn.data.dataset import Dataset
from raydnn.data.inputs import Inputs
from raydnn.errors import job_error
from raydnn.nn.layers.dropping import DropoutLayer
from raydnn.nn.layers.layer import Layer, Shape
from raydnn.nn.layers.normalization import input_normalization, normalization_layer
from raydnn.nn.layers.sequences.embedding import EmbeddingLayer
from raydnn.nn.layers.sequences.steps import present_steps
from raydnn.nn.models.architecture import Architecture, Chain, of_members
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.axes.networks.sequence import TokenNetwork
from raydnn.spec.scaling import Fitted
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context


class Sequences(Chain):
    """Layers one after another, which are told what of a sequence is padding, for N members."""

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute the outputs (N, B, K) of inputs as in `of_members`; steps that are NaN are padding."""
        values = of_members(inputs, self._inputs, self._members)
        present = present_steps(values, of_numbers=len(self._inputs) > 1)
        outputs: Tensor = super().forward(
            torch.nan_to_num(values, nan=0.0), replace(context, present=present)
        )
        return outputs


def composed(inputs: Inputs, layers: list[Layer]) -> Architecture:
    """The architecture of these layers."""
    return Architecture(inputs.shape, tuple(layers), Sequences if inputs.padded else Chain)


def sequence_inputs(trial: TrialSpec, inputs: Inputs, width: int) -> list[Layer]:
    """The first layers of a network for sequences: an embedding of tokens, `input_norm` where wanted, and dropout.

    Args:
        trial: A member.
        inputs: What the data are.
        width: Numbers that a token becomes.

    Returns:
        Layers that end with (T, F).

    Raises:
        JobError: The inputs are no sequences.
    """
    layers: list[Layer] = []
    if len(inputs.shape) == 1:
        layers.append(EmbeddingLayer("embedding", inputs.shape[0], vocabulary_of(trial, inputs), width))
    elif len(inputs.shape) != 2:
        raise job_error("model", f"{trial.model.name} with examples of shape {inputs.told}; needed: {NEEDED}")
    norms = input_normalization(trial, inputs.shape)
    if norms and (inputs.padded or layers):
        what = "tokens" if layers else "padded sequences"
        raise job_error("normalization.inputs", f"true with {what}; allowed: false")
    layers += norms
    layers.append(DropoutLayer("input_dropout", layers[-1].shape if layers else inputs.shape, of_inputs=True))
    return layers


def normalized(trial: TrialSpec, name: str, shape: Shape) -> list[Layer]:
    """The normalization of values, where a trial has one."""
    norm = normalization_layer(trial, name, shape)
    return [] if norm is None else [norm]


NEEDED = "sequences (steps, features), or whole numbers (steps) from 0 on, which are tokens"


def vocabulary_of(trial: TrialSpec, inputs: Inputs) -> int:
    """How many tokens a network knows.

    Raises:
        JobError: The inputs are no tokens.
    """
    assert isinstance(trial.model, TokenNetwork), "it is one of the models for sequences"
    if inputs.vocabulary is None:
        raise job_error(
            "model",
            f"{trial.model.name} with examples of {inputs.told} numbers, which are no tokens; needed: {NEEDED}",
        )
    return trial.model.vocabulary or inputs.vocabulary


def embeds(trial: TrialSpec, inputs: Inputs) -> bool:
    """Whether a trial's network takes its inputs for tokens."""
    return isinstance(trial.model, TokenNetwork) and len(inputs.shape) == 1


def check_inputs(trial: TrialSpec, dataset: Dataset) -> None:
    """Refuse sequences that a trial's network cannot take, and augmentation of images where there are none.

    Raises:
        JobError: Padded sequences for another network, or tokens that are changed before the network gets them; or
            inputs that are no images are to be changed as such.
        DataError: A token is none of the vocabulary.
    """
    inputs, of_sequences = dataset.inputs, isinstance(trial.model, TokenNetwork)
    if inputs.padded and not of_sequences and not isinstance(trial.model, UserModule):
        raise job_error(
            "model", f"{trial.model.name} with padded sequences; allowed: rnn, lstm, gru, transformer, module"
        )
    if inputs.named and not isinstance(trial.model, UserModule):
        names = ", ".join(one.name for one in inputs.named)
        raise job_error(
            "model",
            f"{trial.model.name} with inputs by name ({names}); allowed: module, or one array 'inputs'",
        )
    takes_tokens = embeds(trial, inputs)
    if takes_tokens and dataset.tokens:
        scaling = dataset.scaling.name
        if scaling != "none":
            raise job_error("data.scaling", f"{scaling} with tokens; allowed: none")
        for part in dataset.tokens:
            part.check(vocabulary_of(trial, inputs))
    if any(one.whole for one in inputs.named):
        what = "whole numbers"
    else:
        what = "tokens" if takes_tokens else "padded sequences" if inputs.padded else ""
    if trial.train.augmentation.mixup and what:
        raise job_error("train.augmentation.mixup", f"given with {what}, which are not mixed; allowed: 0")
    if of_sequences and len(inputs.shape) == 2 and not inputs.is_picture:
        what = what or f"sequences of {inputs.told} numbers"
        fitted = trial.data.scaling
        if isinstance(fitted, Fitted) and fitted.per == "channel":
            raise job_error("data.scaling.per", f"channel with {what}, which have none; allowed: feature")
    check_images(trial.train, inputs, taken_for="inputs by name" if inputs.named else what)
