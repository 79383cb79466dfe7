"""Gradient clipping, member by member.

Every function changes `gradients` (n, P) of n members in place; its parameters are columns (n, 1) in their precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from raydnn.stacking.groups import MemberGroup
from raydnn.stacking.layout import Layout

Columns = Mapping[str, Tensor]


def none(_gradients: Tensor, _hyper: Columns, _layout: Layout) -> None:
    """Leave the gradients as they are."""


def value(gradients: Tensor, hyper: Columns, _layout: Layout) -> None:
    """g ← min(max(g, −c), c)."""
    limit = hyper["max_grad"]
    torch.clamp(gradients, -limit, limit, out=gradients)


def norm(gradients: Tensor, hyper: Columns, _layout: Layout) -> None:
    """g ← g · min(1, c/(‖g‖ + 1e-6)), the norm taken over all of a member's parameters."""
    gradients.mul_(_factor(gradients.norm(dim=1, keepdim=True), hyper))


def per_layer(gradients: Tensor, hyper: Columns, layout: Layout) -> None:
    """g ← g · min(1, c/(‖g‖ + 1e-6)) for the weights and biases of each layer by themselves."""
    spans = layout.spans
    for names in layout.layers.values():
        of_layer = [gradients[:, spans[name]] for name in names]
        norms = [part.norm(dim=1, keepdim=True) for part in of_layer]
        factor = _factor(torch.cat(norms, dim=1).norm(dim=1, keepdim=True), hyper)
        for part in of_layer:
            part.mul_(factor)


def _factor(total: Tensor, hyper: Columns) -> Tensor:
    return (hyper["max_grad_norm"] / (total + 1e-6)).clamp_(max=1.0)


CLIPS: dict[str, Callable[[Tensor, Columns, Layout], None]] = {
    "none": none,
    "value": value,
    "norm": norm,
    "per_layer": per_layer,
}
"""Name → implementation; the names are those of raydnn.spec.axes.clip."""


def clip_gradients(groups: Sequence[MemberGroup], gradients: Tensor, layout: Layout) -> None:
    """Clip the gradients (N, P) of a stack, each group of members in its own way."""
    for group in groups:
        CLIPS[group.name](group.of(gradients), group.columns(gradients), layout)
