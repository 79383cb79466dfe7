"""The forward and backward pass of a batch, and what comes out of it for the metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from raydnn.data.augmentation import mixup
from raydnn.nn.objective import Objective
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise
from raydnn.training.stack.stack import Stack
from raydnn.training.steps.batch import Batch


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
    outputs, losses = stack.backprop.of_batch(
        batch.inputs,
        Context(noise, batch.size),
        _Compared(stack.objective, batch),
        scale,
        first=first,
        last=last,
    )
    return Outcome(outputs, batch.labels.targets, losses)


@dataclass(frozen=True)
class _Compared:
    """What a batch's outputs are compared with; where examples are mixed both ones' targets."""

    objective: Objective
    batch: Batch

    def losses(self, outputs: Tensor) -> Tensor:
        return self._mixed(self.objective.training, outputs)

    def gradient(self, outputs: Tensor) -> Tensor | None:
        return self._mixed(self.objective.gradient, outputs) if self.objective.has_gradient else None

    @property
    def told_by_outputs(self) -> bool:
        return self.batch.partners is None and self.batch.labels.weights is None

    def _mixed(self, function: Callable[[Tensor, Tensor, Tensor | None], Tensor], outputs: Tensor) -> Tensor:
        """A function (N, B, ...) of outputs, targets and weights, where examples are mixed in both ones' shares."""
        labels, partners, share = self.batch.labels, self.batch.partners, self.batch.share
        own = function(outputs, labels.targets, labels.weights)
        if partners is None or share is None:
            return own
        of_partners = function(outputs, partners.targets, partners.weights)
        return mixup.mixed(share, own, of_partners)
