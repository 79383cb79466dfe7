"""Pooling of pictures, and what makes pictures of inputs and rows of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from raydnn.nn.features import is_picture
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, WithoutParameters, row
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.pictures.convolution import Geometry, convolved
from raydnn.nn.layers.pictures.folding import folded, in_turn, unfolded
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context

Function = Callable[[Tensor], Tensor]
"""(N, B, *shape) → (N, B, *shape of what comes out)."""


class Computed(nn.Module):
    """A layer that learns nothing: a function of what comes in."""

    def __init__(self, function: Function) -> None:
        """Wrap the function."""
        super().__init__()
        self._function = function

    def forward(self, inputs: Tensor, _context: Context = EVALUATION) -> Tensor:
        """Compute it."""
        return self._function(inputs)


@dataclass(frozen=True)
class FixedLayer(WithoutParameters):
    """A layer that learns nothing, and is the same for all members."""

    name: str
    shape: Shape
    function: Function
    copies: int = 1
    """Numbers kept for each that comes out; 0 for a view."""
    taps: int = 0
    """Operations a number that comes out."""

    def costs(self, _trial: TrialSpec) -> Costs:
        """What comes out."""
        numbers = prod(self.shape)
        return Costs(self.copies * numbers, numbers, self.copies * numbers, self.taps * numbers)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def module(self, _members: Members) -> Computed:
        """The function."""
        return Computed(self.function)


POOLS: dict[str, Callable[..., Tensor]] = {"max": functional.max_pool2d, "average": functional.avg_pool2d}
"""Kind of pooling → torch's kernel."""


def pooling(
    name: str, inputs: Shape, kind: str, kernel: int = 2, stride: int = 2, padding: int = 0
) -> FixedLayer:
    """The largest or the mean of each window of a picture's channels, as torch.nn.MaxPool2d and AvgPool2d have it."""

    def pooled(pictures: Tensor) -> Tensor:
        return unfolded(POOLS[kind](folded(pictures), kernel, stride, padding), len(pictures))

    shape = convolved(inputs, inputs[0], Geometry(kernel, stride, padding))
    # The largest are kept with their places, which are int64.
    return FixedLayer(name, shape, pooled, copies=3 if kind == "max" else 1, taps=kernel**2)


def global_average(name: str, inputs: Shape) -> FixedLayer:
    """The mean of every channel over all positions (Lin et al. 2014, arXiv:1312.4400)."""
    taps = prod(inputs[1:])
    return FixedLayer(name, inputs[:1], lambda pictures: pictures.mean(dim=(3, 4)), taps=taps)


def flattening(name: str, inputs: Shape) -> FixedLayer:
    """A row of numbers (F,) for each example, channel by channel, as torch.nn.Flatten has it."""
    return FixedLayer(name, (prod(inputs),), lambda values: values.flatten(2))


def as_picture(name: str, inputs: Shape) -> FixedLayer:
    """A picture (H, W) as one channel (1, H, W); where members are in turn, a pixel's channels lie side by side."""
    shape = inputs if is_picture(inputs) else (1, *inputs)

    def laid_out(pictures: Tensor) -> Tensor:
        own = pictures.reshape(*pictures.shape[:2], *shape)
        if len(own) > 1 or not in_turn(own):
            return own
        return own.squeeze(0).contiguous(memory_format=torch.channels_last).unsqueeze(0)

    return FixedLayer(name, shape, laid_out, copies=0)
