"""Magnitude pruning: the smallest weights of trained networks are set to 0 (Han et al. 2015, arXiv:1506.02626)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from raydnn.optim.penalties import chosen
from raydnn.spec.axes.regularization import Regularization


@torch.no_grad()
def prune(specs: Sequence[Regularization], parameters: Mapping[str, Tensor]) -> None:
    """Set the share `prune` of the weights of each layer, rounded down, to 0, in place.

    Args:
        specs: One a member.
        parameters: Name → that parameter of all members (n, ...); those with two dimensions a member are weights.
    """
    weights = {name: tensor for name, tensor in parameters.items() if tensor.dim() == 3}
    for row, spec in enumerate(specs):
        for name in chosen(spec, list(weights)):
            own = weights[name][row]
            smallest = own.abs().flatten().argsort()[: int(spec.prune * own.numel())]
            own.view(-1)[smallest] = 0.0
