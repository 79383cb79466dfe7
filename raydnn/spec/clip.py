"""Gradient clipping, before the optimizer sees the gradient."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter


class NoClip(Component):
    """Gradients pass as they are."""

    name: Literal["none"] = "none"


class Norm(Component):
    """Scale the whole gradient down when its global norm exceeds a threshold."""

    formula: ClassVar[str] = "g ← g · min(1, c/(‖g‖ + 1e-6))"
    source: ClassVar[str] = "Pascanu et al. 2013, arXiv:1211.5063; torch.nn.utils.clip_grad_norm_"

    name: Literal["norm"] = "norm"
    max_grad_norm: float = parameter(1.0, "threshold c", gt=0, search="loguniform(0.1, 10)")


Clip = Annotated[NoClip | Norm, NameOrMapping, Field(discriminator="name")]
