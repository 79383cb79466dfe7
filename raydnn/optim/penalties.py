"""Weight penalties and constraints, member by member: what they add to the gradient, what they do after a step.

The penalty of a member is l1 Σ|w| + l2/2 Σw² + λ(β Σ|w| + (1−β)/2 Σw²) over its weights, not its biases
(elastic net: Zou & Hastie 2005); the losses that are recorded leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from raydnn.errors import JobError, Problem, one_of
from raydnn.spec.axes.regularization import Regularization
from raydnn.stacking.shapes import Shapes, row_size, spans


@dataclass(frozen=True)
class Penalties:
    """The penalties of a stack; a part that no member has is empty and costs nothing."""

    l1: Tensor | None
    """Coefficient of sign(w) for each parameter (N, P)."""
    l2: Tensor | None
    """Coefficient of w for each parameter (N, P)."""
    max_norm: dict[str, Tensor]
    """Weight → largest norm of what comes into a unit (N, 1, 1), infinite for members without one."""


def penalties(specs: Sequence[Regularization], shapes: Shapes, device: torch.device) -> Penalties:
    """Lay out the penalties of a stack.

    Args:
        specs: One a member.
        shapes: Names and shapes of a member's parameters.
        device: Where the stack lives.

    Raises:
        JobError: A member names a layer that its network does not have.
    """
    weights = {name: place for name, place in spans(shapes).items() if len(shapes[name]) == 2}
    l1 = torch.zeros(len(specs), row_size(shapes))
    l2 = torch.zeros_like(l1)
    limits = {name: torch.full((len(specs), 1, 1), inf) for name in weights}
    for row, spec in enumerate(specs):
        for name in chosen(spec, list(weights)):
            l1[row, weights[name]] = spec.l1 + spec.elastic_net * spec.elastic_net_beta
            l2[row, weights[name]] = spec.l2 + spec.elastic_net * (1 - spec.elastic_net_beta)
            limits[name][row] = inf if spec.max_norm is None else spec.max_norm
    return Penalties(
        l1.to(device) if l1.any() else None,
        l2.to(device) if l2.any() else None,
        {name: limit.to(device) for name, limit in limits.items() if limit.isfinite().any()},
    )


def add_penalties(found: Penalties, parameters: Tensor, gradients: Tensor) -> None:
    """Add the penalties' gradient: g ← g + l1 sign(w) + l2 w, in place; all (N, P)."""
    if found.l1 is not None:
        gradients.addcmul_(parameters.sign(), found.l1)
    if found.l2 is not None:
        gradients.addcmul_(parameters, found.l2)


def constrain(found: Penalties, weights: Mapping[str, Tensor]) -> None:
    """Scale what comes into a unit down to the largest norm allowed, in place (Srebro et al. 2005).

    Args:
        found: The penalties.
        weights: Name → weights (N, fan_out, fan_in).
    """
    for name, limit in found.max_norm.items():
        norm = weights[name].norm(dim=2, keepdim=True)
        # Units within the limit are multiplied by exactly 1.
        weights[name].mul_(torch.where(norm > limit, limit / norm, 1.0))


def chosen(spec: Regularization, weights: Sequence[str]) -> list[str]:
    """The weights that a member's penalties act on."""
    layers = [name.removesuffix(".weight") for name in weights]
    for layer in spec.layers or ():
        if layer not in layers:
            message = f"unknown layer {layer!r}; {one_of(layer, layers)}"
            raise JobError([Problem("", "regularization.layers", message)])
    return [
        name
        for name, layer in zip(weights, layers, strict=True)
        if spec.layers is None or layer in spec.layers
    ]
