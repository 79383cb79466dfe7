"""The forward and backward pass of a batch: by hand where the model has its gradients written out, else by autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.data import mixup
from raydnn.nn.backprop import Backprop, differentiated
from raydnn.nn.noise import Noise
from raydnn.train.batch import Batch
from raydnn.train.stack import Stack


def backpropagate(
    stack: Stack, batch: Batch, noise: Noise, *, examples: int, first: bool, last: bool
) -> tuple[Tensor, Tensor]:
    """Add a batch's share to the gradient of its step's mean loss.

    Args:
        stack: The members; after the step's last batch `stack.gradients` (N, P) holds the whole gradient.
        batch: The batch.
        noise: The epoch's noise.
        examples: Examples of the whole step, which may go over several batches.
        first: Whether the step begins with this batch; what `stack.gradients` held is forgotten.
        last: Whether it ends with it.

    Returns:
        Outputs (N, B, K) and losses (N,), summed over the batch.
    """
    if stack.backprop is None:
        return _by_autograd(stack, batch, noise, examples, last)
    return _by_hand(stack, stack.backprop, batch, noise, examples, first)


@torch.no_grad()
def _by_hand(
    stack: Stack, backprop: Backprop, batch: Batch, noise: Noise, examples: int, first: bool
) -> tuple[Tensor, Tensor]:
    outputs = backprop.forward(batch.inputs, noise, batch.size)
    by_hand = stack.objective.gradient
    if by_hand is not None and batch.partners is None and batch.labels.weights is None:
        losses, of_outputs = by_hand(outputs, batch.labels.targets)
    else:
        losses, pull = differentiated(lambda outputs: _losses(stack, outputs, batch), [outputs], [])
        (of_outputs,) = pull(torch.ones_like(losses))
    backprop.backward(of_outputs.mul_(1 / examples), add=not first)
    return outputs, losses.sum(dim=1)


def _by_autograd(
    stack: Stack, batch: Batch, noise: Noise, examples: int, last: bool
) -> tuple[Tensor, Tensor]:
    workers = stack.workers
    with workers.delaying(stack.shared_module, not last):
        with stack.in_precision():
            outputs = stack.shared_module(batch.inputs, noise, batch.size)
        outputs = outputs.float()
        losses = _losses(stack, outputs, batch).sum(dim=1)
        # Gradients are averaged over the workers, whose shares of a batch may differ in size.
        (losses.sum() * (workers.count / examples)).backward()  # type: ignore[no-untyped-call]
    if last:
        stack.gather_gradients()
    return outputs.detach(), losses.detach()


def _losses(stack: Stack, outputs: Tensor, batch: Batch) -> Tensor:
    """The losses (N, B) that are minimized, with mixup those of both examples."""
    losses = stack.objective.training(outputs, batch.labels.targets, batch.labels.weights)
    if batch.partners is None or batch.share is None:
        return losses
    of_partners = stack.objective.training(outputs, batch.partners.targets, batch.partners.weights)
    return mixup.mixed(batch.share[..., None], losses, of_partners)
