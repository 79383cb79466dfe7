"""Members as neighbouring groups of channels, as which torch's grouped convolutions take them."""

from __future__ import annotations

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
