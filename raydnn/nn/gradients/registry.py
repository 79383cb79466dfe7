"""The way to the gradients of a stack: by autograd, or by hand where a model's are written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from raydnn.nn.gradients.by_autograd import ByAutograd, OverWorkers
from raydnn.nn.gradients.by_hand import Backprop
from raydnn.nn.gradients.compiling import compiled
from raydnn.nn.gradients.gradients import Gradients
from raydnn.nn.models.mlp import Mlp
from raydnn.nn.models.users.module import Modules

Tensors = dict[str, Tensor]

BY_HAND: dict[type[nn.Module], Callable[[Any, Tensors, Tensors, Sequence[slice]], Gradients]] = {
    Mlp: Backprop
}
"""Kind of module → its gradients by hand: (module, parameters, gradients, members that descend)."""


COMPILED = "torch's compiler makes kernels of its own"
RECOMPUTED = "activations are computed again in the backward pass, from draws that are set back"
"""Why kernels are not captured. Of what is computed again a capture would keep all of them in memory, too."""


def gradients_of(
    module: nn.Module,
    parameters: Tensors,
    gradients: Tensors,
    descending: Sequence[slice],
    precision: Callable[[], AbstractContextManager[None]] | None,
    workers: int,
    recompute: bool,
    compiles: bool,
) -> Gradients:
    """The way to a stack's gradients.

    Args:
        module: Its N networks.
        parameters: Name → the parameter of all members, (N, *shape).
        gradients: Name → its gradient, overwritten in place.
        descending: Members that may descend within the backward pass, ascending slices of neighbours.
        precision: Where the networks compute in another precision than their parameters'; None: they do not.
        workers: Number of data-parallel workers.
        recompute: Whether the networks compute activations again in the backward pass, by autograd.
        compiles: Whether torch's compiler makes their kernels.
    """
    if workers > 1:
        return OverWorkers(
            module, gradients, precision or nullcontext, workers, not isinstance(module, Modules)
        )
    if compiles:
        return ByAutograd(module, gradients, precision or nullcontext, COMPILED, compiled(module))
    if recompute:
        return ByAutograd(module, gradients, precision or nullcontext, RECOMPUTED)
    by_hand = BY_HAND.get(type(module))
    if by_hand is None or precision is not None:
        return ByAutograd(module, gradients, precision or nullcontext)
    return by_hand(module, parameters, gradients, descending)
