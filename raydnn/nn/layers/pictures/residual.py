"""The residual block of a stack: some layers, to whose last one's pre-activations the block's inputs are added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn
from torch.nn import functional

from raydnn.nn.layers.costs import Costs, in_all
from raydnn.nn.layers.layer import Layer, Row, Shape, Views
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.naming import register
from raydnn.nn.layers.pictures.convolution import ConvolutionLayer
from raydnn.nn.layers.pictures.pooling import FixedLayer
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout, one_after_another


@dataclass(frozen=True)
class ResidualLayer:
    """A residual block (He et al. 2016, arXiv:1512.03385): h ← f(F(x) + S(x)), S the shortcut."""

    name: str
    convolutions: tuple[ConvolutionLayer, ...]
    """F, all but its last activation; the tail of the last one ends a block."""
    shortcut: tuple[Layer, ...] = ()
    """S, one after another; nothing: the inputs as they are."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All of them."""
        return *self.convolutions, *self.shortcut

    @cached_property
    def layout(self) -> Layout:
        """The parameters of F, then those of the shortcut."""
        return one_after_another(layer.layout for layer in self.layers)

    @property
    def shape(self) -> Shape:
        """That of the last convolution."""
        return self.convolutions[-1].shape

    def costs(self, trial: TrialSpec) -> Costs:
        """Those of its layers."""
        return in_all(layer.costs(trial) for layer in self.layers)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """Those of its layers."""
        return tuple(row for layer in self.layers for row in layer.rows(trial))

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """As its layers do."""
        for layer in self.layers:
            layer.start(trial, parameters, statistics)

    def module(self, members: Members) -> Residual:
        """The block of N members."""
        return Residual(
            self.name, {layer.name: layer.module(members) for layer in self.layers}, len(self.shortcut)
        )


class Residual(nn.Module):
    """A residual block of N members."""

    def __init__(self, name: str, modules: Mapping[str, nn.Module], in_shortcut: int) -> None:
        """Wrap its layers.

        Args:
            name: Name of the block, which theirs begin with.
            modules: Name → layer of N members: those of F, then those of the shortcut.
            in_shortcut: How many the shortcut has.
        """
        super().__init__()
        for layer, module in modules.items():
            register(self, layer.removeprefix(f"{name}."), module)
        every = list(modules.values())
        # Inside tuples torch does not register them twice.
        self._inside = tuple(every[: len(every) - in_shortcut])
        self._shortcut = tuple(every[len(every) - in_shortcut :])

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute h (N, B, *shape)."""
        skip = hidden = inputs
        for module in self._shortcut:
            skip = module(skip, context)
        *others, last = self._inside
        for module in others:
            hidden = module(hidden, context)
        outputs: Tensor = last(hidden, context, skip)
        return outputs


def padded(name: str, inputs: Shape, shape: Shape) -> FixedLayer:
    """He et al.'s shortcut A, without parameters: every so many positions, channels of 0 added on both sides."""
    stride, more = -(-inputs[1] // shape[1]), shape[0] - inputs[0]

    def subsampled(pictures: Tensor) -> Tensor:
        return functional.pad(pictures[..., ::stride, ::stride], (0, 0, 0, 0, more // 2, more - more // 2))

    return FixedLayer(name, shape, subsampled)
