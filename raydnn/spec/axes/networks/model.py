"""Models: the network's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from raydnn.spec.axes.networks.autoencoder import Autoencoder
from raydnn.spec.axes.networks.convolutional import Cnn, ResNet
from raydnn.spec.axes.networks.network import Network
from raydnn.spec.axes.networks.sequence import Gru, Lstm, Rnn, Transformer
from raydnn.spec.base import (
    MOST_LAYERS,
    MOST_UNITS,
    ImportPath,
    NameOrMapping,
    Widths,
    parameter,
)


class Perceptron(Network):
    """One dense layer from the inputs to the outputs, and no hidden one."""

    formula: ClassVar[str] = "output xW + b"
    source: ClassVar[str] = "Rosenblatt 1958"

    mixes: ClassVar[bool] = True

    name: Literal["perceptron"] = "perceptron"


class Mlp(Network):
    """A multi-layer perceptron: dense hidden layers, the activation after each, and a dense output layer.

    Its shape is `widths`, or `layers` times `width`, or a funnel of `layers` from `width` to `last_width`.
    """

    formula: ClassVar[str] = (
        "h ← f(hW + b) for each hidden layer; output hW + b; "
        "a funnel's widths are width · (last_width/width)^(k/(layers−1)), rounded"
    )

    mixes: ClassVar[bool] = True

    name: Literal["mlp"] = "mlp"
    widths: Widths | None = parameter(
        (64, 64), "units of each hidden layer; null where layers and width are given"
    )
    layers: int | None = parameter(
        None, "number of hidden layers, in place of widths", ge=1, le=MOST_LAYERS, search="randint(1, 5)"
    )
    width: int | None = parameter(
        None,
        "units of each hidden layer, or of a funnel's first",
        ge=1,
        le=MOST_UNITS,
        search="choice(32, 64, 128, 256, 512)",
    )
    last_width: int | None = parameter(
        None, "units of a funnel's last hidden layer; null: as many as width", ge=1, le=MOST_UNITS
    )

    @model_validator(mode="before")
    @classmethod
    def _layers_replace_default_widths(cls, given: Any) -> Any:
        shape = ("layers", "width", "last_width")
        if isinstance(given, Mapping) and "widths" not in given and any(given.get(key) for key in shape):
            return {**given, "widths": None}
        return given

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        shape = {"layers": self.layers, "width": self.width, "last_width": self.last_width}
        given = [name for name, value in shape.items() if value is not None]
        allowed = "allowed: widths, or layers and width, or layers, width and last_width"
        if self.widths is not None and given:
            raise ValueError(f"widths together with {', '.join(given)}; {allowed}")
        if self.widths is None and not {"layers", "width"} <= set(given):
            raise ValueError(f"{', '.join(given) or 'no widths'} without the rest of the shape; {allowed}")
        if self.layers == 1 and self.last_width not in (None, self.width):
            raise ValueError("last_width with a single layer; allowed: at least 2 layers in a funnel")
        return self

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each hidden layer, from input to output."""
        if self.widths is not None or self.layers is None or self.width is None:
            return self.widths or ()
        if self.last_width is None or self.layers == 1:
            return (self.width,) * self.layers
        ratio = self.last_width / self.width
        return tuple(round(self.width * ratio ** (k / (self.layers - 1))) for k in range(self.layers))


class ResidualMlp(Network):
    """A hidden layer, and then blocks of two whose inputs are added to what they compute."""

    formula: ClassVar[str] = "h ← f(xW + b); h ← f(h + N(f(N(hW₁ + b₁))W₂ + b₂)) a block; output hW + b"
    source: ClassVar[str] = (
        "He et al. 2016, arXiv:1512.03385; zero_init_last_norm: Goyal et al. 2017, arXiv:1706.02677"
    )

    mixes: ClassVar[bool] = True

    name: Literal["residual_mlp"] = "residual_mlp"
    blocks: int = parameter(2, "number of blocks of two layers", ge=1, le=MOST_LAYERS, search="randint(1, 5)")
    width: int = parameter(
        64, "units of every hidden layer", ge=1, le=MOST_UNITS, search="choice(32, 64, 128, 256, 512)"
    )
    zero_init_last_norm: bool = parameter(
        False, "begin with γ = 0 in each block's last normalization, so that blocks begin as identities"
    )

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each hidden layer, from input to output."""
        return (self.width,) * (1 + 2 * self.blocks)

    @property
    def block_ends(self) -> tuple[int, ...]:
        """Hidden layers, counted from 0, to which the hidden units two layers before are added."""
        return tuple(range(2, 1 + 2 * self.blocks, 2))


def _as_json(given: Any) -> Any:
    """A mapping, or the text of one, as JSON with sorted keys: the same text for the same arguments."""
    try:
        arguments = json.loads(given) if isinstance(given, str) else given
        if isinstance(arguments, Mapping) and all(str(name).isidentifier() for name in arguments):
            return json.dumps(arguments, sort_keys=True, allow_nan=False)
    except (ValueError, TypeError):
        pass
    raise ValueError(f"{given!r}; allowed: a mapping of names to numbers, texts, true, false, null or lists")


Arguments = Annotated[
    str,
    BeforeValidator(_as_json),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string"}]}),
]
"""Arguments by name, as JSON."""


class UserModule(Network):
    """A class of your own, a torch.nn.Module: inputs (B, features), one row an example, become outputs (B, K).

    Where its first argument is named `shape`, it is told the shape of an example, and gets inputs (B, *shape) instead.
    Several inputs by name (data `npz`) are arguments of its forward by these names, (B, *shape) each, and its first
    argument is a mapping of their names to their shapes. Arrays of whole numbers are int64, as an Embedding takes them,
    and are not scaled; others are float32.
    Its first parameters are those it draws itself, by the trial's seed. Layers inside are its own affair: activation,
    init, normalization and dropout of the job do not reach into it. The members of a stack are computed at once by
    torch.func.vmap where that can be; else, as with dropout or batch norm, one after another. All its state must be
    in parameters and buffers, which are kept in float32.
    """

    formula: ClassVar[str] = (
        "Class(features, K, **arguments)(x), or Class(shape, K, **arguments)(x); features: product of the shape"
    )
    source: ClassVar[str] = "torch.nn.Module; torch.func.vmap"

    name: Literal["module"] = "module"
    path: ImportPath = parameter(
        ...,
        "where it is, as package.module:Class (beside the job file, or installed) or FOLDER/module:Class",
    )
    arguments: Arguments = parameter(
        "{}",
        "further arguments of the class by name: a mapping, or its text as JSON, as which it is recorded",
    )

    @property
    def graph(self) -> tuple[object, ...]:
        """What all members of a stack share."""
        return self.name, self.path, self.arguments


def _mlp_without_name(given: Any) -> Any:
    return {"name": "mlp", **given} if isinstance(given, Mapping) and "name" not in given else given


Model = Annotated[
    Perceptron | Mlp | ResidualMlp | Cnn | ResNet | Rnn | Lstm | Gru | Transformer | Autoencoder | UserModule,
    NameOrMapping,
    BeforeValidator(_mlp_without_name),
    Field(discriminator="name"),
]
"""A mapping without a name is an mlp: `model: {widths: [300, 100]}`."""

OWN: dict[object, dict[str, str]] = {
    cls.model_fields["name"].default: {"activation": cls.activation, "normalization": cls.normalization}
    for cls in (ResNet, Rnn, Lstm, Gru, Transformer)
}
"""Name of a model that has an activation or a normalization of its own → both."""
