"""Members as neighbouring groups of channels, as which torch's grouped convolutions take them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

IN_TURN = frozenset({"cpu"})
"""Kinds of devices that gain nothing from members at once: their grouped convolutions are slower, and round by the
number of groups. There members are computed one after another, each with the channels of a position side by side."""


def in_turn(values: Tensor) -> bool:
    """Whether members are computed one after another where these values are."""
    return values.device.type in IN_TURN


def folded(values: Tensor) -> Tensor:
    """Values (N, B, C, *positions) as (B, N · C, *positions)."""
    return values.squeeze(0) if len(values) == 1 else values.transpose(0, 1).flatten(1, 2)


def unfolded(values: Tensor, members: int) -> Tensor:
    """Values (B, N · C, *positions) as (N, B, C, *positions)."""
    if members == 1:
        return values.unsqueeze(0)
    own: Tensor = values.view(len(values), members, -1, *values.shape[2:])
    return own.transpose(0, 1)


def over_members(
    kernel: Callable[[Tensor, Tensor, Tensor | None, int], Tensor],
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """What a kernel makes of the inputs of N members: of all at once in groups, or one after another.

    Args:
        kernel: (inputs (B, n · C, *positions), kernels, biases, n), for n members.
        inputs: (N, B, C, *positions).
        weight: (N, *shape).
        bias: (N, channels), where there is one.
    """
    members = len(weight)
    if members == 1 or not in_turn(inputs):
        biases = None if bias is None else bias.flatten()
        return unfolded(kernel(folded(inputs), weight.flatten(0, 1), biases, members), members)
    every = [None] * members if bias is None else bias.unbind()
    own = zip(inputs.unbind(), weight.unbind(), every, strict=True)
    return torch.stack([kernel(*each, 1) for each in own])


def channels_last(weight: Tensor) -> Tensor:
    """Kernels whose channels lie side by side.

    They are copied in any case: with one channel torch takes any layout for channels last, and goes by the strides.
    """
    return weight.clone(memory_format=torch.channels_last)
