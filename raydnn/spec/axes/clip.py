"""Gradient clipping, before the optimizer sees the gradient."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter


class NoClip(Component):
    """Gradients pass as they are."""

    name: Literal["none"] = "none"


class Value(Component):
    """Cut every component of the gradient off at a threshold; the direction may change."""

    formula: ClassVar[str] = "g ← min(max(g, −c), c)"
    source: ClassVar[str] = "Mikolov 2012; torch.nn.utils.clip_grad_value_; Keras clipvalue"

    name: Literal["value"] = "value"
    max_grad: float = parameter(0.5, "threshold c", gt=0, search="loguniform(1e-3, 1)")


class Norm(Component):
    """Scale the whole gradient down when its global norm exceeds a threshold."""

    formula: ClassVar[str] = "g ← g · min(1, c/(‖g‖ + 1e-6))"
    source: ClassVar[str] = "Pascanu et al. 2013, arXiv:1211.5063; torch.nn.utils.clip_grad_norm_"

    name: Literal["norm"] = "norm"
    max_grad_norm: float = parameter(1.0, "threshold c", gt=0, search="loguniform(0.1, 10)")


class PerLayer(Component):
    """Scale each layer's gradient (its weights' and biases' together) down when its norm exceeds a threshold."""

    formula: ClassVar[str] = "gₗ ← gₗ · min(1, c/(‖gₗ‖ + 1e-6)) for each layer l"
    source: ClassVar[str] = (
        "torch.nn.utils.clip_grad_norm_ for each layer; Keras' clipnorm parts weights and biases"
    )

    name: Literal["per_layer"] = "per_layer"
    max_grad_norm: float = parameter(1.0, "threshold c", gt=0, search="loguniform(0.1, 10)")


Clip = Annotated[NoClip | Value | Norm | PerLayer, NameOrMapping, Field(discriminator="name")]
