"""The dense layer of a stack, and its gradients by hand."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Dense(nn.Module):
    """A dense layer of N members: y ← xWᵀ + b, x (N, B, fan_in), y (N, B, fan_out).

    Outputs lie in memory unit by unit, (N, fan_out, B): products of narrow layers, softmax and sums over a batch
    are several times faster so, since processors take numbers that lie side by side at once.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: `weight` (N, fan_out, fan_in), and `bias` (N, fan_out) where there is one.
        """
        super().__init__()
        self.weight = nn.Parameter(parameters["weight"])
        self.bias = nn.Parameter(parameters["bias"]) if "bias" in parameters else None
        # The same memory for the passes by hand: a module looks its parameters up slowly.
        self._weight = parameters["weight"]
        self._bias = parameters["bias"].unsqueeze(2) if "bias" in parameters else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute y."""
        return _units(self.weight, None if self.bias is None else self.bias.unsqueeze(2), inputs.mT).mT

    def units(self, inputs: Tensor) -> Tensor:
        """Compute y unit by unit, (N, fan_out, B), of inputs (N, fan_in, B), for `backward` instead of autograd."""
        return _units(self._weight, self._bias, inputs)

    def backward(self, inputs: Tensor, of_units: Tensor, gradients: Mapping[str, Tensor], add: bool) -> None:
        """Give the parameters their gradients: dW = dy·xᵀ, db = Σ dy.

        Args:
            inputs: What `units` got.
            of_units: The gradient dy of what it returned.
            gradients: Where those of `weight` and `bias` go, in place.
            add: Whether to add to what is there, instead of replacing it.
        """
        if add or inputs.shape[0] > 1:
            # Batched products into rows of the stack's matrix, which are apart, would be done one by one.
            put(torch.bmm(of_units, inputs.mT), gradients["weight"], add)
        else:
            torch.bmm(of_units, inputs.mT, out=gradients["weight"])
        if self._bias is not None:
            put(of_units.sum(dim=2), gradients["bias"], add)

    def of_inputs(self, of_units: Tensor) -> Tensor:
        """The gradient dx = Wᵀdy of the inputs (N, fan_in, B)."""
        return torch.bmm(self._weight.mT, of_units)


def _units(weight: Tensor, bias: Tensor | None, inputs: Tensor) -> Tensor:
    return torch.bmm(weight, inputs) if bias is None else torch.baddbmm(bias, weight, inputs)


def put(gradient: Tensor, place: Tensor, add: bool) -> None:
    """Put a gradient in its place, or `add` it to what is there."""
    if add:
        place.add_(gradient)
    else:
        place.copy_(gradient)
