"""Initializers of the weights; biases start at 0."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter


class Auto(Component):
    """By activation: Glorot uniform for linear, sigmoid and tanh, LeCun normal for SELU, else He normal."""

    name: Literal["auto"] = "auto"


class GlorotUniform(Component):
    """Uniform with variance 1/fan_avg."""

    formula: ClassVar[str] = "w ~ U(−a, a), a = √(6/(fan_in + fan_out))"
    source: ClassVar[str] = "Glorot & Bengio 2010"

    name: Literal["glorot_uniform"] = "glorot_uniform"


class GlorotNormal(Component):
    """Normal with variance 1/fan_avg."""

    formula: ClassVar[str] = "w ~ N(0, σ²), σ² = 2/(fan_in + fan_out)"
    source: ClassVar[str] = "Glorot & Bengio 2010"

    name: Literal["glorot_normal"] = "glorot_normal"


class HeUniform(Component):
    """Uniform with variance 2/fan_in."""

    formula: ClassVar[str] = "w ~ U(−a, a), a = √(6/fan_in)"
    source: ClassVar[str] = "He et al. 2015, arXiv:1502.01852"

    name: Literal["he_uniform"] = "he_uniform"


class HeNormal(Component):
    """Normal with variance 2/fan_in."""

    formula: ClassVar[str] = "w ~ N(0, σ²), σ² = 2/fan_in"
    source: ClassVar[str] = "He et al. 2015, arXiv:1502.01852"

    name: Literal["he_normal"] = "he_normal"


class LecunUniform(Component):
    """Uniform with variance 1/fan_in."""

    formula: ClassVar[str] = "w ~ U(−a, a), a = √(3/fan_in)"
    source: ClassVar[str] = "LeCun et al. 1998"

    name: Literal["lecun_uniform"] = "lecun_uniform"


class LecunNormal(Component):
    """Normal with variance 1/fan_in."""

    formula: ClassVar[str] = "w ~ N(0, σ²), σ² = 1/fan_in"
    source: ClassVar[str] = "LeCun et al. 1998"

    name: Literal["lecun_normal"] = "lecun_normal"


class Normal(Component):
    """Normal with a given standard deviation, whatever the fan."""

    formula: ClassVar[str] = "w ~ N(0, std²)"

    name: Literal["normal"] = "normal"
    std: float = parameter(0.01, "standard deviation", gt=0, search="loguniform(1e-3, 1)")


class Zeros(Component):
    """All weights 0: a demonstration that equal units stay equal."""

    formula: ClassVar[str] = "w = 0"

    name: Literal["zeros"] = "zeros"


class TorchDefault(Component):
    """What torch.nn.Linear does for its weight."""

    formula: ClassVar[str] = "w ~ U(−a, a), a = 1/√fan_in"
    source: ClassVar[str] = "torch.nn.Linear.reset_parameters"

    name: Literal["torch_default"] = "torch_default"


Init = Annotated[
    Auto
    | GlorotUniform
    | GlorotNormal
    | HeUniform
    | HeNormal
    | LecunUniform
    | LecunNormal
    | Normal
    | Zeros
    | TorchDefault,
    NameOrMapping,
    Field(discriminator="name"),
]

AUTO = {"linear": GlorotUniform, "sigmoid": GlorotUniform, "tanh": GlorotUniform, "selu": LecunNormal}
"""Activation → what `auto` picks; every activation that is not here gets He normal."""
