"""Activations: what a layer makes of its pre-activation z."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from raydnn.spec.base import Component, NameOrMapping, parameter


class ActivationFunction(Component):
    """What every activation says of itself."""

    init: ClassVar[str] = "he_normal"
    """The initializer that `init: auto` picks for layers with this activation."""
    no_hidden_layer: ClassVar[str] = ""
    """Why hidden layers cannot have it; empty where they can."""
    differentiable: ClassVar[bool] = True

    @property
    def flat_ends(self) -> tuple[float | None, float | None]:
        """Outputs up to the first, and from the second on, have hardly any gradient; None: it has no such end."""
        return None, None


class Linear(ActivationFunction):
    """The identity: the network stays linear."""

    formula: ClassVar[str] = "f(z) = z"
    init: ClassVar[str] = "glorot_uniform"

    name: Literal["linear"] = "linear"


class Heaviside(ActivationFunction):
    """The step from 0 to 1; without a gradient, so only for the output of a perceptron."""

    formula: ClassVar[str] = "f(z) = 0 for z < 0, else 1"
    source: ClassVar[str] = "McCulloch & Pitts 1943"
    init: ClassVar[str] = "glorot_uniform"
    no_hidden_layer: ClassVar[str] = "has no gradient, so that nothing below it could learn"
    differentiable: ClassVar[bool] = False

    name: Literal["heaviside"] = "heaviside"


class Sign(ActivationFunction):
    """The sign; without a gradient, so only for the output of a perceptron."""

    formula: ClassVar[str] = "f(z) = −1 for z < 0, 0 for z = 0, else 1"
    source: ClassVar[str] = "Rosenblatt 1958"
    init: ClassVar[str] = "glorot_uniform"
    no_hidden_layer: ClassVar[str] = "has no gradient, so that nothing below it could learn"
    differentiable: ClassVar[bool] = False

    name: Literal["sign"] = "sign"


class Sigmoid(ActivationFunction):
    """The logistic function."""

    formula: ClassVar[str] = "f(z) = 1/(1 + e^(−z))"
    init: ClassVar[str] = "glorot_uniform"

    name: Literal["sigmoid"] = "sigmoid"

    @property
    def flat_ends(self) -> tuple[float | None, float | None]:
        return 0.01, 0.99


class Tanh(ActivationFunction):
    """The hyperbolic tangent."""

    formula: ClassVar[str] = "f(z) = tanh z"
    init: ClassVar[str] = "glorot_uniform"

    name: Literal["tanh"] = "tanh"

    @property
    def flat_ends(self) -> tuple[float | None, float | None]:
        return -0.99, 0.99


class Relu(ActivationFunction):
    """The rectified linear unit."""

    formula: ClassVar[str] = "f(z) = max(0, z)"
    source: ClassVar[str] = "Nair & Hinton 2010"

    name: Literal["relu"] = "relu"

    @property
    def flat_ends(self) -> tuple[float | None, float | None]:
        return 0.0, None


class LeakyRelu(ActivationFunction):
    """ReLU with a small slope below zero."""

    formula: ClassVar[str] = "f(z) = z for z > 0, else αz"
    source: ClassVar[str] = "Maas et al. 2013"

    name: Literal["leaky_relu"] = "leaky_relu"
    alpha: float = parameter(0.1, "slope α below zero", ge=0, lt=1, search="uniform(0.01, 0.3)")


class Rrelu(ActivationFunction):
    """ReLU with a random slope below zero, drawn for each unit and example; its mean at evaluation."""

    formula: ClassVar[str] = (
        "f(z) = z for z > 0, else az, a ~ U(lower, upper) in training, (lower + upper)/2 after"
    )
    source: ClassVar[str] = "Xu et al. 2015, arXiv:1505.00853; torch.nn.RReLU"

    name: Literal["rrelu"] = "rrelu"
    lower: float = parameter(1 / 8, "smallest slope below zero", ge=0, lt=1, search="uniform(0.05, 0.2)")
    upper: float = parameter(1 / 3, "largest slope below zero", ge=0, lt=1, search="uniform(0.2, 0.5)")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"lower: {self.lower} is above upper: {self.upper}; allowed: at most upper")
        return self


class Prelu(ActivationFunction):
    """ReLU with a slope below zero that every unit learns."""

    formula: ClassVar[str] = "f(z) = z for z > 0, else α_k z, α_k learned for each unit k"
    source: ClassVar[str] = "He et al. 2015, arXiv:1502.01852; torch.nn.PReLU"

    name: Literal["prelu"] = "prelu"
    alpha: float = parameter(0.25, "every slope α_k before training", ge=0, lt=1, search="uniform(0.01, 0.3)")


class Elu(ActivationFunction):
    """The exponential linear unit: smooth, with negative values that saturate at −α."""

    formula: ClassVar[str] = "f(z) = z for z > 0, else α(e^z − 1)"
    source: ClassVar[str] = "Clevert et al. 2016, arXiv:1511.07289"

    name: Literal["elu"] = "elu"
    alpha: float = parameter(1.0, "saturation α", gt=0, search="uniform(0.5, 1.5)")

    @property
    def flat_ends(self) -> tuple[float | None, float | None]:
        return -0.99 * self.alpha, None


class Selu(ActivationFunction):
    """The scaled ELU that keeps mean 0 and variance 1 under its conditions."""

    formula: ClassVar[str] = "f(z) = λ·elu(z; α), λ = 1.0507, α = 1.6733"
    source: ClassVar[str] = "Klambauer et al. 2017, arXiv:1706.02515"
    init: ClassVar[str] = "lecun_normal"

    name: Literal["selu"] = "selu"

    @property
    def flat_ends(self) -> tuple[float | None, float | None]:
        return -0.99 * 1.0507 * 1.6733, None


class Softmax(ActivationFunction):
    """Probabilities of classes; for the output layer."""

    formula: ClassVar[str] = "f(z)_k = e^(z_k) / Σ_j e^(z_j)"
    source: ClassVar[str] = "Bridle 1990"
    init: ClassVar[str] = "glorot_uniform"
    no_hidden_layer: ClassVar[str] = "makes probabilities of classes, which only an output layer has"

    name: Literal["softmax"] = "softmax"


class Softplus(ActivationFunction):
    """A smooth ReLU."""

    formula: ClassVar[str] = "f(z) = log(1 + e^z)"

    name: Literal["softplus"] = "softplus"

    @property
    def flat_ends(self) -> tuple[float | None, float | None]:
        return 0.01, None


class Gelu(ActivationFunction):
    """The Gaussian error linear unit."""

    formula: ClassVar[str] = "f(z) = z·Φ(z), Φ the standard normal distribution function"
    source: ClassVar[str] = "Hendrycks & Gimpel 2016, arXiv:1606.08415"

    name: Literal["gelu"] = "gelu"


class Silu(ActivationFunction):
    """The sigmoid linear unit, also called swish."""

    formula: ClassVar[str] = "f(z) = z/(1 + e^(−z))"
    source: ClassVar[str] = "Elfwing et al. 2018, arXiv:1702.03118"

    name: Literal["silu"] = "silu"


class Mish(ActivationFunction):
    """A smooth, non-monotonic activation."""

    formula: ClassVar[str] = "f(z) = z·tanh(softplus(z))"
    source: ClassVar[str] = "Misra 2019, arXiv:1908.08681"

    name: Literal["mish"] = "mish"


Activation = Annotated[
    Linear
    | Heaviside
    | Sign
    | Sigmoid
    | Tanh
    | Relu
    | LeakyRelu
    | Rrelu
    | Prelu
    | Elu
    | Selu
    | Softplus
    | Softmax
    | Gelu
    | Silu
    | Mish,
    NameOrMapping,
    Field(discriminator="name"),
]
