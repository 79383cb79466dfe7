"""Activations of the output layer: what a prediction is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raydnn.spec.axes.activation import Heaviside, Linear, Relu, Sigmoid, Sign, Softmax, Softplus, Tanh
from raydnn.spec.base import Component, NameOrMapping


class AutoOutput(Component):
    """Chosen by task and loss: softmax for classes, sigmoid for binary and several labels, linear for numbers."""

    name: Literal["auto"] = "auto"


Output = Annotated[
    AutoOutput | Linear | Sigmoid | Tanh | Relu | Softplus | Softmax | Heaviside | Sign,
    NameOrMapping,
    Field(discriminator="name"),
]
