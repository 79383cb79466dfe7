"""Activations of the hidden layers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter


class Linear(Component):
    """The identity: the network stays linear."""

    formula: ClassVar[str] = "f(z) = z"

    name: Literal["linear"] = "linear"


class Sigmoid(Component):
    """The logistic function."""

    formula: ClassVar[str] = "f(z) = 1/(1 + e^(−z))"

    name: Literal["sigmoid"] = "sigmoid"


class Tanh(Component):
    """The hyperbolic tangent."""

    formula: ClassVar[str] = "f(z) = tanh z"

    name: Literal["tanh"] = "tanh"


class Relu(Component):
    """The rectified linear unit."""

    formula: ClassVar[str] = "f(z) = max(0, z)"
    source: ClassVar[str] = "Nair & Hinton 2010"

    name: Literal["relu"] = "relu"


class LeakyRelu(Component):
    """ReLU with a small slope below zero."""

    formula: ClassVar[str] = "f(z) = z for z > 0, else αz"
    source: ClassVar[str] = "Maas et al. 2013"

    name: Literal["leaky_relu"] = "leaky_relu"
    alpha: float = parameter(0.1, "slope α below zero", ge=0, lt=1, search="uniform(0.01, 0.3)")


class Elu(Component):
    """The exponential linear unit: smooth, with negative values that saturate at −α."""

    formula: ClassVar[str] = "f(z) = z for z > 0, else α(e^z − 1)"
    source: ClassVar[str] = "Clevert et al. 2016, arXiv:1511.07289"

    name: Literal["elu"] = "elu"
    alpha: float = parameter(1.0, "saturation α", gt=0, search="uniform(0.5, 1.5)")


class Selu(Component):
    """The scaled ELU that keeps mean 0 and variance 1 under its conditions."""

    formula: ClassVar[str] = "f(z) = λ·elu(z; α), λ = 1.0507, α = 1.6733"
    source: ClassVar[str] = "Klambauer et al. 2017, arXiv:1706.02515"

    name: Literal["selu"] = "selu"


class Softplus(Component):
    """A smooth ReLU."""

    formula: ClassVar[str] = "f(z) = log(1 + e^z)"

    name: Literal["softplus"] = "softplus"


class Gelu(Component):
    """The Gaussian error linear unit."""

    formula: ClassVar[str] = "f(z) = z·Φ(z), Φ the standard normal distribution function"
    source: ClassVar[str] = "Hendrycks & Gimpel 2016, arXiv:1606.08415"

    name: Literal["gelu"] = "gelu"


class Silu(Component):
    """The sigmoid linear unit, also called swish."""

    formula: ClassVar[str] = "f(z) = z/(1 + e^(−z))"
    source: ClassVar[str] = "Elfwing et al. 2018, arXiv:1702.03118"

    name: Literal["silu"] = "silu"


class Mish(Component):
    """A smooth, non-monotonic activation."""

    formula: ClassVar[str] = "f(z) = z·tanh(softplus(z))"
    source: ClassVar[str] = "Misra 2019, arXiv:1908.08681"

    name: Literal["mish"] = "mish"


Activation = Annotated[
    Linear | Sigmoid | Tanh | Relu | LeakyRelu | Elu | Selu | Softplus | Gelu | Silu | Mish,
    NameOrMapping,
    Field(discriminator="name"),
]
