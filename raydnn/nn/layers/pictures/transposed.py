"""The transposed convolution of a stack, over pictures (C, H, W): it undoes what a convolution does to the shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn
from torch.nn import functional

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.norm_layer import NormLayer
from raydnn.nn.layers.pictures.convolution import PASSING, Geometry
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


@dataclass(frozen=True)
class TransposedConvolutionLayer:
    """A transposed convolution: each x_c is spread by w_co over the positions, y_o ← Σ_c x_c ⋆ᵀ w_co + b_o.

    It is torch.nn.ConvTranspose2d, and perhaps has a tail (Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4).
    """

    name: str
    inputs: Shape
    """(C, H, W)."""
    channels: int
    geometry: Geometry
    """Of the convolution that it undoes."""
    added: tuple[int, int] = (0, 0)
    """Rows and columns that are added at the end, torch's `output_padding`; each is less than the stride."""
    bias: bool = True
    tail: TailLayer | None = None

    @property
    def layout(self) -> Layout:
        """`NAME.weight` (C, channels/groups, k, k), `NAME.bias` (channels) where wanted, and those of the tail."""
        return with_tail(self._layout, self.tail)

    @property
    def _layout(self) -> Layout:
        kernel, groups = self.geometry.kernel, self.geometry.groups
        units = self.channels // groups
        weight = Parameter(
            (self.inputs[0], units, kernel, kernel),
            Role.WEIGHT,
            self.name,
            self.inputs[0] // groups * kernel**2,
            units * kernel**2,
            unit_axis=1,
            groups=groups,
        )
        parameters = {f"{self.name}.weight": weight}
        if self.bias:
            parameters[f"{self.name}.bias"] = Parameter((self.channels,), Role.BIAS, self.name)
        return Layout(parameters)

    @property
    def shape(self) -> Shape:
        """(channels, H′, W′), H′ = (H − 1)s − 2p + d(k − 1) + 1 + added."""
        g = self.geometry
        sizes = zip(self.inputs[1:], self.added, strict=True)
        return (
            self.channels,
            *(
                (n - 1) * g.stride - 2 * g.padding + g.dilation * (g.kernel - 1) + 1 + more
                for n, more in sizes
            ),
        )

    def costs(self, trial: TrialSpec) -> Costs:
        """It keeps its outputs, and what its tail makes of them."""
        numbers = prod(self.shape)
        operations = self._layout.parameters[f"{self.name}.weight"].count * prod(self.inputs[1:])
        kept = numbers * copies_of(self.tail, trial)
        return Costs(kept, numbers, numbers, operations, passing=PASSING * numbers)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Draw the kernels; biases are 0; the tail has its own."""
        start_with_tail(self._layout, self.tail, trial, parameters, statistics)

    def module(self, members: Members) -> TransposedConvolution:
        """The layer of N members."""
        parameters = named_under(self.name, members.parameters)
        return TransposedConvolution(
            parameters, self.geometry, self.added, *tail_of_members(self.tail, members)
        )


class TransposedConvolution(Tailed):
    """A transposed convolution of N members, and its tail where it has one."""

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        geometry: Geometry,
        added: tuple[int, int] = (0, 0),
        norm: NormLayer | None = None,
        tail: Tail | None = None,
    ) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: `weight` (N, C, channels/groups, k, k), and perhaps `bias` (N, channels) and `alpha`, the slopes
                (N, channels) of the activation.
            geometry: Of the convolution that it undoes.
            added: Rows and columns that are added at the end.
            norm: The normalization of the tail.
            tail: What follows; None: nothing.
        """
        super().__init__()
        self.weight = nn.Parameter(parameters["weight"])
        self.bias = nn.Parameter(parameters["bias"]) if "bias" in parameters else None
        self.take_tail(parameters, norm, tail)
        self.geometry, self.added = geometry, added

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute y (N, B, channels, H′, W′) of inputs (N, B, C, H, W)."""
        return self.finish(over_members(self._kernel, inputs, self.weight, self.bias), None, context)

    def _kernel(self, inputs: Tensor, weight: Tensor, bias: Tensor | None, members: int) -> Tensor:
        geometry = self.geometry
        if in_turn(inputs):
            weight = channels_last(weight)
        return functional.conv_transpose2d(
            inputs,
            weight,
            bias,
            geometry.stride,
            geometry.padding,
            self.added,
            geometry.groups * members,
            geometry.dilation,
        )
