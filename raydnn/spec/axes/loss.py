"""Losses: per example, averaged over the batch; each says what it learns and which output layer it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.axes.loss_function import LABELS, NUMBERS, PROBABILITIES, LossFunction
from raydnn.spec.base import Component, ImportPath, NameOrMapping, parameter
from raydnn.spec.data import Task


class AutoLoss(Component):
    """By task: cross-entropy for classes, binary for two classes and several labels, squared error for numbers.

    Inputs that are reconstructed are numbers.
    """

    name: Literal["auto"] = "auto"


class Mse(LossFunction):
    """Mean squared error over the outputs; classes are one-hot targets."""

    formula: ClassVar[str] = "L = mean_k (z_k − y_k)²"
    outputs: ClassVar[Mapping[Task, str]] = NUMBERS
    takes_values: ClassVar[bool] = True
    unit: ClassVar[int | None] = 2

    name: Literal["mse"] = "mse"


class Mae(LossFunction):
    """Mean absolute error over the outputs: less moved by outliers than the squared one."""

    formula: ClassVar[str] = "L = mean_k |z_k − y_k|"
    outputs: ClassVar[Mapping[Task, str]] = NUMBERS
    takes_values: ClassVar[bool] = True
    unit: ClassVar[int | None] = 1

    name: Literal["mae"] = "mae"


class Huber(LossFunction):
    """Squared for small errors, absolute for large ones."""

    formula: ClassVar[str] = "L = mean_k (e²/2 for |e| ≤ δ, else δ(|e| − δ/2)), e = z_k − y_k"
    source: ClassVar[str] = "Huber 1964; torch.nn.HuberLoss"
    outputs: ClassVar[Mapping[Task, str]] = NUMBERS
    takes_values: ClassVar[bool] = True
    unit: ClassVar[int | None] = 2

    name: Literal["huber"] = "huber"
    delta: float = parameter(
        1.0,
        "error δ at which the loss becomes linear; in deviations of a target that is standardized",
        gt=0,
        search="loguniform(0.1, 10)",
    )


class LogCosh(LossFunction):
    """The logarithm of the error's hyperbolic cosine: a smooth Huber loss."""

    formula: ClassVar[str] = "L = mean_k log cosh e = mean_k e + log(1 + e^(−2e)) − log 2, e = z_k − y_k"
    source: ClassVar[str] = "keras.losses.LogCosh"
    outputs: ClassVar[Mapping[Task, str]] = NUMBERS
    takes_values: ClassVar[bool] = True

    name: Literal["log_cosh"] = "log_cosh"


class CrossEntropy(LossFunction):
    """Softmax cross-entropy with integer targets, from logits."""

    formula: ClassVar[str] = "L = −log softmax(z)_y"
    outputs: ClassVar[Mapping[Task, str]] = {"classification": "softmax", "binary": "softmax"}
    smooths: ClassVar[bool] = True

    name: Literal["cross_entropy"] = "cross_entropy"


class CategoricalCrossEntropy(LossFunction):
    """Softmax cross-entropy with probability targets, from logits; classes are one-hot targets."""

    formula: ClassVar[str] = "L = −Σ_k y_k log softmax(z)_k"
    outputs: ClassVar[Mapping[Task, str]] = PROBABILITIES
    smooths: ClassVar[bool] = True

    name: Literal["categorical_cross_entropy"] = "categorical_cross_entropy"


class BinaryCrossEntropy(LossFunction):
    """Sigmoid cross-entropy of two classes, or of several labels, from logits."""

    formula: ClassVar[str] = "L = mean_k max(z_k, 0) − y_k z_k + log(1 + e^(−|z_k|))"
    outputs: ClassVar[Mapping[Task, str]] = LABELS
    single: ClassVar[bool] = True
    smooths: ClassVar[bool] = True

    name: Literal["binary_cross_entropy"] = "binary_cross_entropy"


class Hinge(LossFunction):
    """The margin loss of a support vector machine, classes as targets ±1."""

    formula: ClassVar[str] = "L = mean_k max(0, 1 − y_k z_k), y_k = ±1"
    source: ClassVar[str] = "Cortes & Vapnik 1995"
    outputs: ClassVar[Mapping[Task, str]] = {"binary": "linear", "multi_label": "linear"}
    single: ClassVar[bool] = True

    name: Literal["hinge"] = "hinge"


class CategoricalHinge(LossFunction):
    """The margin between a class's score and the best of the others."""

    formula: ClassVar[str] = (
        "L = max(0, 1 + max_{k≠y} z_k − z_y); Keras counts a 0 among the others, which here no class has"
    )
    source: ClassVar[str] = "Crammer & Singer 2001"
    outputs: ClassVar[Mapping[Task, str]] = {"classification": "linear", "binary": "linear"}

    name: Literal["categorical_hinge"] = "categorical_hinge"


class Focal(LossFunction):
    """Cross-entropy that turns away from examples that are right already; softmax, or sigmoid for labels."""

    formula: ClassVar[str] = (
        "L = −α(1 − p)^γ log p, p the probability of the target; sigmoid: α for y = 1, 1 − α for y = 0, mean_k"
    )
    source: ClassVar[str] = "Lin et al. 2017, arXiv:1708.02002"
    outputs: ClassVar[Mapping[Task, str]] = {"classification": "softmax", **LABELS}
    single: ClassVar[bool] = True

    name: Literal["focal"] = "focal"
    gamma: float = parameter(2.0, "focus γ; 0 is cross-entropy", ge=0, search="uniform(0, 5)")
    alpha: float = parameter(0.25, "weight α", gt=0, lt=1, search="uniform(0.1, 0.9)")


class KlDivergence(LossFunction):
    """Divergence of the softmax from probability targets, from logits."""

    formula: ClassVar[str] = "L = Σ_k y_k (log y_k − log softmax(z)_k)"
    source: ClassVar[str] = "Kullback & Leibler 1951; torch.nn.KLDivLoss"
    outputs: ClassVar[Mapping[Task, str]] = PROBABILITIES

    name: Literal["kl_divergence"] = "kl_divergence"


class Perceptron(LossFunction):
    """What the perceptron learning rule descends: an example counts only while it is on the wrong side, or on the edge.

    With SGD and batches of one its steps are the rule itself, θ ← θ + ηyx, from zero weights too.
    """

    formula: ClassVar[str] = (
        "L = max(0, −yz), y = ±1, gradient −y at yz = 0; classes: max(0, max_{k≠y} z_k − z_y)"
    )
    source: ClassVar[str] = "Rosenblatt 1958"
    outputs: ClassVar[Mapping[Task, str]] = {
        "binary": "heaviside",
        "classification": "linear",
        "multi_label": "heaviside",
    }
    single: ClassVar[bool] = True

    name: Literal["perceptron"] = "perceptron"


class Dice(LossFunction):
    """One minus the overlap of predicted and true labels of an example; softmax for classes, else sigmoid."""

    formula: ClassVar[str] = "L = 1 − (2 Σ_k p_k y_k + s)/(Σ_k p_k + Σ_k y_k + s)"
    source: ClassVar[str] = "Milletari et al. 2016, arXiv:1606.04797"
    outputs: ClassVar[Mapping[Task, str]] = {"classification": "softmax", **LABELS}
    single: ClassVar[bool] = True

    name: Literal["dice"] = "dice"
    smooth: float = parameter(1.0, "s, which keeps examples without labels defined", gt=0)


class Triplet(LossFunction):
    """An embedding in which the farthest example of the same class is nearer than the nearest of another.

    In training both are sought in the batch; with several workers in a worker's share of it. Validation and test seek
    them in the whole set, whatever its order: harder ones, for n² distances. Without either the loss is 0.
    """

    formula: ClassVar[str] = "L = max(0, max_same ‖z − z₊‖ − min_other ‖z − z₋‖ + margin)"
    source: ClassVar[str] = "Hermans et al. 2017, arXiv:1703.07737 (batch hard)"
    outputs: ClassVar[Mapping[Task, str]] = {"classification": "linear", "binary": "linear"}
    decides: ClassVar[bool] = False

    name: Literal["triplet"] = "triplet"
    margin: float = parameter(1.0, "distance to be kept", gt=0, search="loguniform(0.1, 2)")
    embedding: int = parameter(16, "outputs of the network", ge=1)

    def units(self, task: Task, outputs: int) -> int:
        """Dimensions of the embedding, whatever the number of classes."""
        return self.embedding


class Wasserstein(LossFunction):
    """The critic's loss of a Wasserstein GAN: class 1 is real and scored high, class 0 is generated."""

    formula: ClassVar[str] = "L = −yz, y = ±1; clip weights with it (max_norm)"
    source: ClassVar[str] = "Arjovsky et al. 2017, arXiv:1701.07875"
    outputs: ClassVar[Mapping[Task, str]] = {"binary": "linear"}
    single: ClassVar[bool] = True
    decides: ClassVar[bool] = False

    name: Literal["wasserstein"] = "wasserstein"


class Function(LossFunction):
    """A function of your own: (outputs (B, K), targets) → losses (B,), written with torch.

    A folder before it is relative to the job file, as every path there is.
    Targets of a regression come to it as data.target_scaling makes them.
    """

    formula: ClassVar[str] = (
        "targets: class numbers (B,), or numbers (B, K) for regression, labels, probabilities"
    )
    outputs: ClassVar[Mapping[Task, str]] = NUMBERS
    takes_values: ClassVar[bool] = True

    name: Literal["function"] = "function"
    path: ImportPath = parameter(
        ...,
        "where it is, as package.module:function (beside the job file, or installed) or FOLDER/module:function",
    )


Loss = Annotated[
    AutoLoss
    | Mse
    | Mae
    | Huber
    | LogCosh
    | CrossEntropy
    | CategoricalCrossEntropy
    | BinaryCrossEntropy
    | Hinge
    | CategoricalHinge
    | Focal
    | KlDivergence
    | Perceptron
    | Dice
    | Triplet
    | Wasserstein
    | Function,
    NameOrMapping,
    Field(discriminator="name"),
]

AUTO: dict[Task, Callable[[], LossFunction]] = {
    "classification": CrossEntropy,
    "regression": Mse,
    "binary": BinaryCrossEntropy,
    "multi_label": BinaryCrossEntropy,
    "distribution": CategoricalCrossEntropy,
    "reconstruction": Mse,
}
"""Task → what `auto` picks."""
