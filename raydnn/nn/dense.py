"""The dense layer of a stack, and a backward pass that puts its gradients where the optimizer reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Dense(nn.Module):
    """A dense layer of N members: y ← xW + b, x (N, B, fan_in), y (N, B, fan_out)."""

    def __init__(self, parameters: Mapping[str, Tensor], norm: nn.Module | None = None) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: `weight` (N, fan_in, fan_out), `bias` (N, fan_out) where there is one, and `alpha`, the
                slopes (N, fan_out) of the activation that follows, where it learns them.
            norm: The normalization that follows, before or after the activation.
        """
        super().__init__()
        self.weight = nn.Parameter(parameters["weight"])
        self.bias = nn.Parameter(parameters["bias"]) if "bias" in parameters else None
        self.alpha = nn.Parameter(parameters["alpha"]) if "alpha" in parameters else None
        self.norm = norm
        self._gradients: tuple[Tensor, Tensor, Tensor | None] | None = None

    def write_gradients_to(self, weight: Tensor, bias: Tensor | None) -> None:
        """Let the backward pass overwrite these tensors instead of `weight.grad` and `bias.grad`."""
        # The product goes to memory of its own first: into a view its rounding would depend on the member's place.
        self._gradients = (torch.empty(weight.shape, device=weight.device), weight, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute y."""
        if self._gradients is None or not torch.is_grad_enabled():
            return _dense(inputs, self.weight, self.bias)
        outputs: Tensor = _WritingDense.apply(inputs, self.weight, self.bias, *self._gradients)  # type: ignore[no-untyped-call]
        return outputs


def _dense(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(inputs, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), inputs, weight)


class _WritingDense(torch.autograd.Function):
    """y = xW + b with dW = xᵀ dy and db = Σ dy written into given tensors.

    Autograd would allocate dW anew at every step: for a large layer that costs more than the product itself.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        product: Tensor,
        to_weight: Tensor,
        to_bias: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.destinations = (product, to_weight, to_bias)
        return _dense(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        inputs, weight = ctx.saved_tensors
        product, to_weight, to_bias = ctx.destinations
        (of_outputs,) = gradients
        to_weight.copy_(torch.bmm(inputs.transpose(1, 2), of_outputs, out=product))
        if to_bias is not None:
            to_bias.copy_(of_outputs.sum(dim=1))
        of_inputs = torch.bmm(of_outputs, weight.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return of_inputs, None, None, None, None, None
