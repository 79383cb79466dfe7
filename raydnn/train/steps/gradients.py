"""The forward and backward pass of a batch: by hand where the model has its gradients written out, else by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from raydnn.data.augmentation import mixup
from raydnn.nn.gradients.by_hand import Backprop, differentiated
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise
from raydnn.train.stack.stack import Stack
from raydnn.train.steps.batch import Batch


class Outcome(NamedTuple):
    """What came out of a batch's forward pass, for the metrics."""

    outputs: Tensor
    """(N, B, K)."""
    targets: Tensor
    losses: Tensor | None
    """The losses (N, B) that are minimized; None: those of outputs and targets, which are still to be computed."""

    def copy(self) -> Outcome:
        """The same in memory of its own."""
        losses = None if self.losses is None else self.losses.clone()
        return Outcome(self.outputs.clone(), self.targets.clone(), losses)


def backpropagate(
    stack: Stack, batch: Batch, noise: Noise, *, scale: Tensor, first: bool, last: bool
) -> Outcome:
    """Add a batch's share to the gradient of its step's mean loss.

    Args:
        stack: The members; after the step's last batch `stack.gradients` (N, P) holds the whole gradient.
        batch: The batch.
        noise: The epoch's noise.
        scale: What the gradients of a member's summed losses are multiplied by, a column (N, 1, 1): one over the
            examples of the whole step, which may go over several batches, and −η where the member descends.
        first: Whether the step begins with this batch; what `stack.gradients` held is forgotten.
        last: Whether it ends with it.
    """
    if stack.backprop is None:
        return _by_autograd(stack, batch, noise, scale, last)
    return _by_hand(stack, stack.backprop, batch, noise, scale, first)


def _by_hand(
    stack: Stack, backprop: Backprop, batch: Batch, noise: Noise, scale: Tensor, first: bool
) -> Outcome:
    outputs = backprop.forward(batch.inputs, Context(noise, batch.size))
    losses = None
    if stack.objective.has_gradient:
        of_outputs = _mixed(stack.objective.gradient, outputs, batch)
        if batch.partners is not None or batch.labels.weights is not None:
            losses = _losses(stack, outputs, batch)
    else:
        losses, pull = differentiated(lambda outputs: _losses(stack, outputs, batch), [outputs], [])
        (of_outputs,) = pull(torch.ones_like(losses))
    backprop.backward(of_outputs.mul_(scale), add=not first)
    return Outcome(outputs, batch.labels.targets, losses)


def _by_autograd(stack: Stack, batch: Batch, noise: Noise, scale: Tensor, last: bool) -> Outcome:
    workers = stack.workers
    with torch.enable_grad(), workers.delaying(stack.shared_module, not last):
        with stack.in_precision():
            outputs = stack.shared_module(batch.inputs, Context(noise, batch.size))
        outputs = outputs.float()
        losses = _losses(stack, outputs, batch)
        # Gradients are averaged over the workers, whose shares of a batch may differ in size.
        (losses * (workers.count * scale.squeeze(2))).sum().backward()  # type: ignore[no-untyped-call]
    if last:
        stack.gather_gradients()
    return Outcome(outputs.detach(), batch.labels.targets, losses.detach())


def _losses(stack: Stack, outputs: Tensor, batch: Batch) -> Tensor:
    """The losses (N, B) that are minimized, with mixup those of both examples."""
    return _mixed(stack.objective.training, outputs, batch)


def _mixed(
    function: Callable[[Tensor, Tensor, Tensor | None], Tensor], outputs: Tensor, batch: Batch
) -> Tensor:
    """A function (N, B, ...) of outputs, targets and weights, with mixup in the shares of both examples."""
    own = function(outputs, batch.labels.targets, batch.labels.weights)
    if batch.partners is None or batch.share is None:
        return own
    of_partners = function(outputs, batch.partners.targets, batch.partners.weights)
    return mixup.mixed(batch.share, own, of_partners)
