"""The steps of sequences (N, B, T, F): which are there, reversed, and read out as one vector an example."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, WithoutParameters, row
from raydnn.nn.layers.members import Members
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context


def present_steps(inputs: Tensor, of_numbers: bool) -> Tensor:
    """Which steps are there, (N, B, T): those of padding are NaN.

    Args:
        inputs: Tokens (N, B, T), or numbers (N, B, T, F).
        of_numbers: Whether they are numbers.
    """
    return ~(inputs[..., 0] if of_numbers else inputs).isnan()


def reversed_steps(values: Tensor, present: Tensor | None) -> Tensor:
    """Each sequence from its last step to its first; padding stays behind it, where it is."""
    if present is None:
        return values.flip(2)
    steps = torch.arange(values.shape[2], device=values.device)
    last = present.sum(dim=-1, keepdim=True) - 1
    order = torch.where(present, last - steps, steps)
    return values.gather(2, order.unsqueeze(-1).expand(values.shape))


@dataclass(frozen=True)
class ReadoutLayer(WithoutParameters):
    """What a sequence comes to: its last step, or the mean of its steps, those of padding left out."""

    name: str
    inputs: Shape
    """(T, F)."""
    kind: str
    """`last` or `mean`."""
    reverses: bool = False
    """Whether the second half of the features comes from reading it backwards, which ends at its first step."""

    @property
    def shape(self) -> Shape:
        """(F,)."""
        return self.inputs[1:]

    def costs(self, _trial: TrialSpec) -> Costs:
        """What comes out, and the gradient of what comes in."""
        steps, features = self.inputs
        return Costs(2 * features, features, features, steps * features, passing=steps * features)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def module(self, _members: Members) -> Readout:
        """The same for all members."""
        return Readout(self)


class Readout(nn.Module):
    """The readout of N members."""

    def __init__(self, layer: ReadoutLayer) -> None:
        """Note what it is."""
        super().__init__()
        self._layer = layer

    def forward(self, values: Tensor, context: Context = EVALUATION) -> Tensor:
        """Read sequences (N, B, T, F) out as (N, B, F)."""
        present = context.present
        if self._layer.kind == "mean":
            return values.mean(dim=2) if present is None else _mean(values, present)
        if not self._layer.reverses:
            return _last(values, present)
        forward, backward = values.chunk(2, dim=-1)
        return torch.cat([_last(forward, present), backward[:, :, 0]], dim=-1)


def _mean(values: Tensor, present: Tensor) -> Tensor:
    weights = present.to(values.dtype).unsqueeze(-1)
    # Numbers of padding may be anything.
    return values.masked_fill(~present.unsqueeze(-1), 0.0).sum(dim=2) / weights.sum(dim=2)


def _last(values: Tensor, present: Tensor | None) -> Tensor:
    if present is None:
        return values[:, :, -1]
    last = (present.sum(dim=-1) - 1).view(*present.shape[:2], 1, 1)
    return values.gather(2, last.expand(*values.shape[:2], 1, values.shape[-1])).squeeze(2)
