"""Initializers of the weights; biases start at 0."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter


class Auto(Component):
    """By activation: Glorot uniform for linear, sigmoid, tanh, softmax; LeCun normal for SELU; else He normal."""

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


class VarianceScaling(Component):
    """A variance by the fan: the family that Glorot, He and LeCun belong to."""

    formula: ClassVar[str] = (
        "Var w = scale/n, n = fan_in, fan_out or fan_avg = (fan_in + fan_out)/2; uniform: ±√(3·scale/n); "
        "truncated_normal: cut at two deviations and widened by 1/0.8796, so that the variance holds"
    )
    source: ClassVar[str] = "keras.initializers.VarianceScaling (its `normal` is the truncated one)"

    name: Literal["variance_scaling"] = "variance_scaling"
    scale: float = parameter(1.0, "variance times n", gt=0, search="loguniform(0.1, 10)")
    mode: Literal["fan_in", "fan_out", "fan_avg"] = parameter(
        "fan_in", "what n is", search="choice(fan_in, fan_out, fan_avg)"
    )
    distribution: Literal["normal", "truncated_normal", "uniform"] = parameter(
        "truncated_normal", "shape of the distribution", search="choice(normal, truncated_normal, uniform)"
    )


class Normal(Component):
    """Normal with a given standard deviation, whatever the fan."""

    formula: ClassVar[str] = "w ~ N(0, std²)"

    name: Literal["normal"] = "normal"
    std: float = parameter(0.01, "standard deviation", gt=0, search="loguniform(1e-3, 1)")


class TruncatedNormal(Component):
    """Normal without what lies beyond two deviations, which is drawn again."""

    formula: ClassVar[str] = "w ~ N(0, std²) given |w| ≤ 2·std"
    source: ClassVar[str] = "keras.initializers.TruncatedNormal"

    name: Literal["truncated_normal"] = "truncated_normal"
    std: float = parameter(0.02, "standard deviation before the cut", gt=0, search="loguniform(1e-3, 1)")


class Uniform(Component):
    """Uniform with a given bound, whatever the fan."""

    formula: ClassVar[str] = "w ~ U(−bound, bound)"

    name: Literal["uniform"] = "uniform"
    bound: float = parameter(0.05, "largest size of a weight", gt=0, search="loguniform(1e-3, 1)")


class Orthogonal(Component):
    """A random orthogonal matrix, or as many orthonormal columns or rows as there is room for."""

    formula: ClassVar[str] = "WᵀW = gain²·I for fan_in ≥ fan_out, else WWᵀ = gain²·I"
    source: ClassVar[str] = "Saxe et al. 2014, arXiv:1312.6120; torch.nn.init.orthogonal_"

    name: Literal["orthogonal"] = "orthogonal"
    gain: float = parameter(1.0, "factor of the matrix", gt=0, search="loguniform(0.5, 2)")


class Constant(Component):
    """All weights equal: a demonstration that equal units stay equal."""

    formula: ClassVar[str] = "w = value"

    name: Literal["constant"] = "constant"
    value: float = parameter(0.01, "every weight")


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
    | VarianceScaling
    | Normal
    | TruncatedNormal
    | Uniform
    | Orthogonal
    | Zeros
    | Constant
    | TorchDefault,
    NameOrMapping,
    Field(discriminator="name"),
]
