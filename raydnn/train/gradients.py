"""The forward and backward pass of a batch: by hand where the model has its gradients written out, else by autograd."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raydnn.nn.noise import Noise
from raydnn.train.stack import Stack


@dataclass(frozen=True)
class Batch:
    """A batch, or this worker's share of it; a step may go over several."""

    inputs: Tensor
    """(B, F), shared by all members, or (N, B, F)."""
    targets: Tensor
    weights: Tensor | None
    """Weights of the examples, or None."""
    size: int
    """Examples of the whole batch, over all workers."""
    step_size: int
    """Examples of the whole step."""
    is_first: bool
    """Whether it is the first of its step."""
    is_last: bool


def backpropagate(stack: Stack, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
    """Add a batch's share to the gradient of the step's mean loss; the first batch of a step begins anew.

    Args:
        stack: The members; after the step's last batch `stack.gradients` (N, P) holds the whole gradient.
        batch: The examples.
        noise: The epoch's noise.

    Returns:
        Outputs (N, B, K) and losses (N,), summed over the batch.
    """
    if stack.backprop is None:
        return _by_autograd(stack, batch, noise)
    with torch.no_grad():
        outputs = stack.backprop.forward(batch.inputs, noise, batch.size)
        losses, of_outputs = stack.objective.with_gradient(outputs, batch.targets, batch.weights)
        stack.backprop.backward(of_outputs.mul_(1 / batch.step_size), add=not batch.is_first)
        return outputs, losses.sum(dim=1)


def _by_autograd(stack: Stack, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
    workers = stack.workers
    with workers.delaying(stack.shared_module, not batch.is_last):
        outputs = stack.shared_module(batch.inputs, noise, batch.size)
        losses = stack.objective.training(outputs, batch.targets, batch.weights).sum(dim=1)
        # Gradients are averaged over the workers, whose shares of a batch may differ in size.
        (losses.sum() * (workers.count / batch.step_size)).backward()  # type: ignore[no-untyped-call]
    if batch.is_last:
        stack.gather_gradients()
    return outputs.detach(), losses.detach()
