"""Magnitude pruning: the smallest weights of trained networks are set to 0 (Han et al. 2015, arXiv:1506.02626)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from raydnn.optim.penalties import chosen
from raydnn.spec.axes.regularization import Regularization
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Role


@torch.no_grad()
def prune(specs: Sequence[Regularization], layout: Layout, parameters: Mapping[str, Tensor]) -> None:
    """Set the share `prune` of the weights of each layer, rounded down, to 0, in place.

    Args:
        specs: One a member.
        layout: Of a member's parameters.
        parameters: Name → that parameter of all members (n, *shape).
    """
    weights = layout.having(Role.WEIGHT)
    for row, spec in enumerate(specs):
        if not spec.prune:
            continue
        for name in chosen(spec, weights):
            own = parameters[name][row]
            smallest = own.abs().flatten().argsort()[: int(spec.prune * own.numel())]
            own.view(-1)[smallest] = 0.0
