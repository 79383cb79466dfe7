"""Weight penalties and constraints, member by member: what they add to the gradient, what they do after a step.

The penalty of a member is l1 Σ|w| + l2/2 Σw² + λ(β Σ|w| + (1−β)/2 Σw²) over its weights and embeddings alone
(elastic net: Zou & Hastie 2005); the losses that are recorded leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from raydnn.errors import job_error, one_of
from raydnn.spec.axes.regularization import Regularization
from raydnn.stacking.layout import Layout, by_unit
from raydnn.stacking.roles import Parameter, Role

PENALIZED = Role.WEIGHT, Role.EMBEDDING
"""Roles of the parameters that penalties, max-norm and weight decay act on."""


@dataclass(frozen=True)
class Penalties:
    """The penalties of a stack; a part that no member has is empty and costs nothing."""

    l1: Tensor | None
    """Coefficient of sign(w) for each parameter (N, P)."""
    l2: Tensor | None
    """Coefficient of w for each parameter (N, P)."""
    max_norm: dict[str, Tensor]
    """Weight → largest norm of what comes into a unit (N,), infinite for members without one."""
    layout: Layout


def penalties(specs: Sequence[Regularization], layout: Layout, device: torch.device) -> Penalties:
    """Lay out the penalties of a stack.

    Args:
        specs: One a member.
        layout: Of a member's parameters.
        device: Where the stack lives.

    Raises:
        JobError: A member names a layer that its network does not have.
    """
    weights, spans = layout.having(*PENALIZED), layout.spans
    l1 = torch.zeros(len(specs), layout.size)
    l2 = torch.zeros_like(l1)
    limits = {name: torch.full((len(specs),), inf) for name in weights}
    for row, spec in enumerate(specs):
        for name in chosen(spec, weights):
            l1[row, spans[name]] = spec.l1 + spec.elastic_net * spec.elastic_net_beta
            l2[row, spans[name]] = spec.l2 + spec.elastic_net * (1 - spec.elastic_net_beta)
            limits[name][row] = inf if spec.max_norm is None else spec.max_norm
    return Penalties(
        l1.to(device) if l1.any() else None,
        l2.to(device) if l2.any() else None,
        {name: limit.to(device) for name, limit in limits.items() if limit.isfinite().any()},
        layout,
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
        weights: Name → weights (N, *shape).
    """
    for name, limit in found.max_norm.items():
        units = by_unit(weights[name], found.layout.parameters[name])
        norm = torch.linalg.vector_norm(units, dim=tuple(range(3, units.dim())), keepdim=True)
        largest = limit.view(-1, *[1] * (units.dim() - 1))
        # Units within the limit are multiplied by exactly 1.
        units.mul_(torch.where(norm > largest, largest / norm, 1.0))


def chosen(spec: Regularization, weights: Mapping[str, Parameter]) -> list[str]:
    """The names of those weights that a member's regularization acts on."""
    layers = list(dict.fromkeys(parameter.layer for parameter in weights.values() if parameter.layer))
    for layer in spec.layers or ():
        if layer not in layers:
            message = f"unknown layer {layer!r}; {one_of(layer, layers)}"
            raise job_error("regularization.layers", message)
    return [
        name for name, parameter in weights.items() if spec.layers is None or parameter.layer in spec.layers
    ]
