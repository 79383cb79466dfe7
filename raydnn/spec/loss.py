"""Losses: per example, averaged over the batch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping


class AutoLoss(Component):
    """Chosen by the task: cross-entropy for classification, mean squared error for regression."""

    name: Literal["auto"] = "auto"


class CrossEntropy(Component):
    """Softmax cross-entropy with integer targets, from logits."""

    formula: ClassVar[str] = "L = −log softmax(z)_y"

    name: Literal["cross_entropy"] = "cross_entropy"


class Mse(Component):
    """Mean squared error over the outputs; classes are one-hot targets."""

    formula: ClassVar[str] = "L = mean_k (z_k − y_k)²"

    name: Literal["mse"] = "mse"


Loss = Annotated[AutoLoss | CrossEntropy | Mse, NameOrMapping, Field(discriminator="name")]

AUTO = {"classification": CrossEntropy, "regression": Mse}
"""Task → what `auto` picks."""
