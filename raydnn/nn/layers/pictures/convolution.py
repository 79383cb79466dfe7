"""The convolution of a stack, over pictures (C, H, W) or along sequences (T, C), and its tail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn
from torch.nn import functional

from raydnn.nn.features import features_of, is_picture
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.norm_layer import NormLayer
from raydnn.nn.layers.pictures.folding import channels_last, in_turn, over_members
from raydnn.nn.layers.tail import (
    Tail,
    Tailed,
    TailLayer,
    copies_of,
    start_with_tail,
    tail_of_members,
    with_tail,
)
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d}
"""Dimensions of the positions → torch's kernel."""


@dataclass(frozen=True)
class Geometry:
    """How a kernel moves over the positions, along each of their dimensions alike."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    def positions(self, size: int) -> int:
        """Number of positions that come out of so many: ⌊(size + 2p − d(k − 1) − 1)/s⌋ + 1."""
        return (size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1


@dataclass(frozen=True)
class ConvolutionLayer:
    """A convolution: y_o ← Σ_c w_oc ⋆ x_c + b_o, as torch.nn.Conv2d and Conv1d have it, and perhaps a tail."""

    name: str
    inputs: Shape
    """(C, H, W) or (T, C)."""
    channels: int
    geometry: Geometry
    bias: bool = True
    tail: TailLayer | None = None

    @property
    def layout(self) -> Layout:
        """`NAME.weight` (channels, C/groups, *kernel), `NAME.bias` (channels) where wanted, and those of the tail."""
        return with_tail(self._layout, self.tail)

    @property
    def _layout(self) -> Layout:
        geometry = self.geometry
        taps = geometry.kernel ** len(positions_of(self.inputs))
        into = features_of(self.inputs) // geometry.groups
        shape = (self.channels, into, *[geometry.kernel] * len(positions_of(self.inputs)))
        fan_out = self.channels // geometry.groups * taps
        parameters = {f"{self.name}.weight": Parameter(shape, Role.WEIGHT, self.name, into * taps, fan_out)}
        if self.bias:
            parameters[f"{self.name}.bias"] = Parameter((self.channels,), Role.BIAS, self.name)
        return Layout(parameters)

    @property
    def shape(self) -> Shape:
        """(channels, H′, W′) or (T′, channels)."""
        return convolved(self.inputs, self.channels, self.geometry)

    def costs(self, trial: TrialSpec) -> Costs:
        """It keeps its outputs, and what its tail makes of them."""
        numbers = prod(self.shape)
        weight = self._layout.parameters[f"{self.name}.weight"]
        operations = weight.count * prod(positions_of(self.shape))
        kept = numbers * copies_of(self.tail, trial)
        return Costs(kept, numbers, numbers, operations, passing=PASSING * numbers)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Draw the kernels; biases are 0; the tail has its own."""
        start_with_tail(self._layout, self.tail, trial, parameters, statistics)

    def module(self, members: Members) -> Convolution:
        """The layer of N members."""
        parameters = named_under(self.name, members.parameters)
        return Convolution(parameters, self.geometry, *tail_of_members(self.tail, members))


PASSING = 2
"""Numbers of the backward pass beside those kept: the gradients of what comes out, before and after the tail."""


def convolved(inputs: Shape, channels: int, geometry: Geometry) -> Shape:
    """Shape of what a kernel makes of (C, H, W) or (T, C)."""
    sizes = tuple(map(geometry.positions, positions_of(inputs)))
    return (channels, *sizes) if is_picture(inputs) else (*sizes, channels)


def positions_of(shape: Shape) -> Shape:
    """Sizes of the positions of (C, H, W) or (T, C)."""
    return shape[1:] if is_picture(shape) else shape[:-1]


class Convolution(Tailed):
    """A convolution of N members, and its tail where it has one."""

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        geometry: Geometry,
        norm: NormLayer | None = None,
        tail: Tail | None = None,
    ) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: `weight` (N, channels, C/groups, *kernel), and perhaps `bias` (N, channels) and `alpha`, the
                slopes (N, channels) of the activation.
            geometry: How the kernel moves.
            norm: The normalization of the tail.
            tail: What follows; None: nothing.
        """
        super().__init__()
        self.weight = nn.Parameter(parameters["weight"])
        self.bias = nn.Parameter(parameters["bias"]) if "bias" in parameters else None
        self.take_tail(parameters, norm, tail)
        self.geometry = geometry

    def forward(self, inputs: Tensor, context: Context = EVALUATION, skip: Tensor | None = None) -> Tensor:
        """Compute y.

        Args:
            inputs: (N, B, C, H, W) or (N, B, T, C).
            context: Of the forward pass.
            skip: What is added before the activation, where a residual block ends here.
        """
        pictures = self.weight.dim() == 5
        z = over_members(self._kernel, inputs if pictures else inputs.mT, self.weight, self.bias)
        return self.finish(z if pictures else z.mT, skip, context)

    def _kernel(self, inputs: Tensor, weight: Tensor, bias: Tensor | None, members: int) -> Tensor:
        geometry = self.geometry
        stride = geometry.stride
        if geometry.kernel == 1 and stride > 1 and not geometry.padding:
            # The same positions, without work for those between them; and oneDNN's backward kernel of a strided
            # 1 × 1 convolution, channels last, writes beyond its memory (torch 2.13).
            inputs = inputs[..., ::stride] if weight.dim() == 3 else inputs[..., ::stride, ::stride]
            stride = 1
        if in_turn(inputs) and weight.dim() == 4:
            weight = channels_last(weight)
        return CONVOLUTIONS[weight.dim() - 2](
            inputs,
            weight,
            bias,
            stride,
            geometry.padding,
            geometry.dilation,
            geometry.groups * members,
        )
