"""Optimizers: how a gradient becomes a step. Those that scale it parameter by parameter are in `adaptive`."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.axes.adaptive import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    RAdam,
    RmsProp,
    bias_decay,
    decoupled_decay,
    epsilon,
    l2_decay,
    learning_rate,
    mean_decay,
    square_decay,
)
from raydnn.spec.base import Component, NameOrMapping, parameter


class Sgd(Component):
    """Stochastic gradient descent with optional (Nesterov) momentum."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  v ← μv + (1−d)g;  θ ← θ − ηv  (Nesterov: θ ← θ − η(g + μv)). "
        "d = μ gives the moving-average form: but for the first step the same path as d = 0 with η scaled by 1−μ."
    )
    source: ClassVar[str] = "Polyak 1964; Sutskever et al. 2013; torch.optim.SGD"

    name: Literal["sgd"] = "sgd"
    lr: float = learning_rate(0.01, "loguniform(1e-3, 5)")
    momentum: float = parameter(
        0.0, "momentum μ", ge=0, lt=1, search="one_minus(loguniform(5e-3, 1))", descends=(0.0,)
    )
    nesterov: bool = parameter(False, "look ahead along the velocity", search="choice(false, true)")
    dampening: float = parameter(0.0, "share d of the gradient kept out of the velocity", ge=0, le=1)
    weight_decay: float = l2_decay("loguniform(1e-7, 5e-5)")
    decay_bias: bool = bias_decay()


class Lion(Component):
    """Steps of one size, along the sign of a blend of the gradient and its mean; decoupled weight decay."""

    formula: ClassVar[str] = "θ ← θ(1 − ηλ) − η·sign(β₁m + (1−β₁)g);  m ← β₂m + (1−β₂)g"
    source: ClassVar[str] = "Chen et al. 2023, arXiv:2302.06675"

    name: Literal["lion"] = "lion"
    lr: float = learning_rate(1e-4, "loguniform(1e-5, 1e-3)")
    beta1: float = mean_decay()
    beta2: float = square_decay(0.99, "one_minus(loguniform(1e-3, 0.2))")
    weight_decay: float = decoupled_decay(0.0, "loguniform(1e-3, 10)")
    decay_bias: bool = bias_decay()


class Muon(Component):
    """Steps of the hidden layers' weights along an orthogonalized velocity; AdamW for biases and the output layer."""

    formula: ClassVar[str] = (
        "V ← μV + (1−μ)G;  W ← W(1 − ηλ) − η·k·NS(V)  (Nesterov: NS((1−μ)G + μV)), NS five Newton–Schulz steps "
        "towards the nearest orthogonal matrix, k = √max(1, fan_out/fan_in)"
    )
    note: ClassVar[str] = "ε is that of AdamW, for biases and the output layer: added to √v̂, as in torch."
    source: ClassVar[str] = "Jordan et al. 2024, kellerjordan.github.io/posts/muon; torch.optim.Muon"

    name: Literal["muon"] = "muon"
    lr: float = learning_rate(0.02, "loguniform(1e-3, 0.1)")
    momentum: float = parameter(0.95, "momentum μ", ge=0, lt=1, search="one_minus(loguniform(5e-3, 0.3))")
    nesterov: bool = parameter(True, "look ahead along the velocity", search="choice(false, true)")
    match_rms: bool = parameter(
        False, "k = 0.2·√max(fan_in, fan_out): steps as large as AdamW's, with AdamW's learning rates"
    )
    weight_decay: float = decoupled_decay(0.0, "loguniform(1e-3, 1)")
    decay_bias: bool = bias_decay()
    adam_ratio: float = parameter(
        0.015, "AdamW's learning rate as a share of η", gt=0, search="loguniform(1e-3, 1)"
    )
    beta1: float = mean_decay()
    beta2: float = square_decay(0.95, None)
    eps: float = epsilon(1e-8)


Optimizer = Annotated[
    Sgd | RmsProp | Adagrad | Adadelta | Adam | Adamax | Nadam | AdamW | RAdam | Lion | Muon,
    NameOrMapping,
    Field(discriminator="name"),
]


def momentum_field(fields: Container[str]) -> str | None:
    """The one of an optimizer's fields that is its momentum: `momentum`, or else the Adam family's `beta1`."""
    for name in ("momentum", "beta1"):
        if name in fields:
            return name
    return None
