"""Convolutional models, for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from raydnn.spec.axes.networks.network import Network
from raydnn.spec.base import MOST_LAYERS, MOST_UNITS, ListOrTuple, Widths, parameter

HeadWidths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_UNITS)], ...], Field(max_length=MOST_LAYERS), ListOrTuple
]
"""Units of each dense hidden layer; none is allowed."""


class Cnn(Network):
    """Stages of convolutions, each halving the picture, then dense layers and a dense output layer.

    Pictures are (H, W) or (C, H, W). Each convolution has its normalization, activation and dropout (of whole channels)
    as a dense hidden layer has.
    """

    formula: ClassVar[str] = (
        "h ← f(h ⋆ W + b), padded by ⌊kernel/2⌋, for each convolution of a stage; then the largest or mean of each "
        "2 × 2, or stride 2 in its last one; then a multi-layer perceptron"
    )
    source: ClassVar[str] = "LeCun et al. 1998; Simonyan & Zisserman 2015, arXiv:1409.1556"

    name: Literal["cnn"] = "cnn"
    channels: Widths = parameter((32, 64), "channels of the convolutions, one number a stage")
    convolutions: int = parameter(1, "convolutions of a stage", ge=1, le=MOST_LAYERS, search="randint(1, 3)")
    kernel: int = parameter(3, "side of the kernels, in pixels", ge=1, le=31, search="choice(3, 5)")
    pooling: Literal["max", "average", "stride"] = parameter("max", "what halves the picture after a stage")
    widths: HeadWidths = parameter((128,), "units of the dense hidden layers; [] for none")

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Channels of every convolution, then units of the dense layers."""
        return *(own for own in self.channels for _ in range(self.convolutions)), *self.widths

    @property
    def graph(self) -> tuple[object, ...]:
        """What all members of a stack share."""
        return self.name, self.channels, self.convolutions, self.kernel, self.pooling, self.widths


class ResNet(Network):
    """A residual network of the CIFAR family: a stem, three stages of blocks of two convolutions, their mean, a layer.

    Pictures are (H, W) or (C, H, W). With `skip: false` it is the plain network of the same depth. Its normalization is
    `batch_norm` unless the job says another.
    """

    formula: ClassVar[str] = (
        "h ← f(h + N(f(N(h ⋆ W₁)) ⋆ W₂)) for each of 3n blocks of width, 2·width, 4·width channels; depth 6n + 2"
    )
    source: ClassVar[str] = (
        "He et al. 2016, arXiv:1512.03385; zero_init_last_norm: Goyal et al. 2017, arXiv:1706.02677"
    )

    name: Literal["resnet"] = "resnet"
    depth: int = parameter(
        20, "layers with weights, 6n + 2: 20, 32, 44, 56, 110", ge=8, le=1202, search="choice(20, 32)"
    )
    width: int = parameter(
        16, "channels of the first stage", ge=1, le=MOST_UNITS // 4, search="choice(8, 16, 32)"
    )
    skip: bool = parameter(True, "add a block's inputs to what it computes; false: the plain network")
    shortcut: Literal["A", "B"] | None = parameter(
        "A",
        "where a block changes the shape: A pads channels of 0, B projects by a 1 × 1 convolution and its norm; null "
        "without skip",
    )
    stem: Literal["auto", "small", "large"] = parameter(
        "auto",
        "small: a 3 × 3 convolution; large: 7 × 7 with stride 2, then a pooling; auto: by the longer side, 64",
    )
    zero_init_last_norm: bool = parameter(
        False, "begin with γ = 0 in each block's last normalization, so that blocks begin as identities"
    )

    normalization: ClassVar[str] = "batch_norm"

    @model_validator(mode="before")
    @classmethod
    def _shortcut_needs_skip(cls, given: Any) -> Any:
        without = isinstance(given, Mapping) and given.get("skip") is False and "shortcut" not in given
        return {**given, "shortcut": None} if without else given

    @model_validator(mode="after")
    def _whole_blocks(self) -> Self:
        if (self.depth - 2) % 6:
            below = self.depth - (self.depth - 2) % 6
            raise ValueError(f"depth: {self.depth}; allowed: 6n + 2, such as {below} and {below + 6}")
        if self.skip == (self.shortcut is None):
            allowed = "A, B" if self.skip else "null"
            raise ValueError(f"shortcut: {self.shortcut} with skip: {self.skip}; allowed: {allowed}")
        return self

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Channels of every convolution."""
        blocks = (self.depth - 2) // 6
        return self.width, *(self.width << stage for stage in range(3) for _ in range(2 * blocks))

    @property
    def graph(self) -> tuple[object, ...]:
        """What all members of a stack share."""
        return self.name, self.depth, self.width, self.shortcut, self.skip, self.stem
