"""Optimizers: how a gradient becomes a step."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter


class Sgd(Component):
    """Stochastic gradient descent with optional (Nesterov) momentum."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  v ← μv + (1−d)g;  θ ← θ − ηv  (Nesterov: θ ← θ − η(g + μv)). "
        "d = μ gives the moving-average form: but for the first step the same path as d = 0 with η scaled by 1−μ."
    )
    source: ClassVar[str] = "Polyak 1964; Sutskever et al. 2013; torch.optim.SGD"

    name: Literal["sgd"] = "sgd"
    lr: float = parameter(0.01, "learning rate η", gt=0, search="loguniform(1e-3, 1)")
    momentum: float = parameter(0.0, "momentum μ", ge=0, lt=1, search="uniform(0, 0.99)")
    nesterov: bool = parameter(False, "look ahead along the velocity", search="choice(false, true)")
    dampening: float = parameter(0.0, "share d of the gradient kept out of the velocity", ge=0, le=1)
    weight_decay: float = parameter(0.0, "L2 coefficient λ", ge=0, search="loguniform(1e-7, 1e-2)")


class Adam(Component):
    """Adaptive moments with bias correction; weight decay in its L2 form."""

    formula: ClassVar[str] = (
        "g ← g + λθ;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  θ ← θ − η·m̂/(√v̂ + ε), "
        "m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)"
    )
    source: ClassVar[str] = "Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adam"

    name: Literal["adam"] = "adam"
    lr: float = parameter(1e-3, "learning rate η", gt=0, search="loguniform(1e-4, 1e-1)")
    beta1: float = parameter(0.9, "decay β₁ of the mean", ge=0, lt=1, search="uniform(0.5, 0.98)")
    beta2: float = parameter(0.999, "decay β₂ of the mean square", ge=0, lt=1, search="uniform(0.9, 0.9999)")
    eps: float = parameter(1e-8, "ε, added to the root", gt=0)
    weight_decay: float = parameter(0.0, "L2 coefficient λ", ge=0, search="loguniform(1e-7, 1e-2)")


class AdamW(Component):
    """Adam with decoupled weight decay."""

    formula: ClassVar[str] = "θ ← θ − ηλθ;  then Adam's step without λ in the gradient"
    source: ClassVar[str] = "Loshchilov & Hutter 2019, arXiv:1711.05101; torch.optim.AdamW"

    name: Literal["adamw"] = "adamw"
    lr: float = parameter(1e-3, "learning rate η", gt=0, search="loguniform(1e-4, 1e-1)")
    beta1: float = parameter(0.9, "decay β₁ of the mean", ge=0, lt=1, search="uniform(0.5, 0.98)")
    beta2: float = parameter(0.999, "decay β₂ of the mean square", ge=0, lt=1, search="uniform(0.9, 0.9999)")
    eps: float = parameter(1e-8, "ε, added to the root", gt=0)
    weight_decay: float = parameter(1e-2, "decoupled decay λ", ge=0, search="loguniform(1e-4, 1)")


Optimizer = Annotated[Sgd | Adam | AdamW, NameOrMapping, Field(discriminator="name")]
