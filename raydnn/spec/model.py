"""Models: the network's shape."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from raydnn.spec.base import Component, NameOrMapping, Widths, parameter


class Mlp(Component):
    """A multi-layer perceptron: dense hidden layers, the activation after each, and a dense output layer."""

    formula: ClassVar[str] = "h ← f(hW + b) for each hidden layer; output hW + b"

    name: Literal["mlp"] = "mlp"
    widths: Widths = parameter((64, 64), "units of each hidden layer")


Model = Annotated[Mlp, NameOrMapping]
"""One choice so far; a second one turns this into a union told apart by `name`."""
