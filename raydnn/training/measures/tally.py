"""The running training metrics of an epoch: losses and accuracy, counted for several batches at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raydnn.nn.losses import has_own
from raydnn.training.measures.accuracy import hits
from raydnn.training.stack.stack import Stack
from raydnn.training.steps.gradients import Outcome

NUMBERS = 1 << 16
"""Outputs of all members that are counted at once: enough to be worth it, few enough to stay in a CPU's cache."""


class Tally:
    """Sums of every member's losses and hits."""

    def __init__(self, stack: Stack) -> None:
        """Begin at 0."""
        self._stack = stack
        # In float64, so that it does not show in the sums how many were counted at once.
        self._loss = torch.zeros(len(stack.members), device=stack.device, dtype=torch.float64)
        self._correct = torch.zeros_like(self._loss)
        self._waiting: list[Outcome] = []
        self._numbers = 0

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count a step's batches."""
        for outcome in outcomes:
            self._waiting.append(outcome)
            self._numbers += outcome.outputs.numel()
        if self._numbers >= NUMBERS:
            self._count()

    def means(self, n: int) -> tuple[Tensor, Tensor | None]:
        """Mean loss and accuracy (N,) over the n examples of all workers; None where there is no accuracy."""
        self._count()
        workers = self._stack.workers
        loss, correct = ((workers.sum(summed) / n).float() for summed in (self._loss, self._correct))
        return loss, correct if self._stack.has_accuracy else None

    def _count(self) -> None:
        waiting, self._waiting, self._numbers = self._waiting, [], 0
        if not waiting:
            return
        stack, own = self._stack, int(has_own(waiting[0].targets))
        targets = torch.cat([each.targets for each in waiting], dim=own)
        outputs = _joined([each.outputs for each in waiting])
        known = [each.losses for each in waiting if each.losses is not None]
        losses = torch.cat(known, dim=1) if known else stack.objective.training(outputs, targets, None)
        self._loss += losses.sum(dim=1, dtype=torch.float64)
        if stack.has_accuracy:
            self._correct += hits(stack.task, outputs, targets).sum(dim=1)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Batches (N, B, K) as one, unit by unit as they lie in memory."""
    return parts[0] if len(parts) == 1 else torch.cat([part.mT for part in parts], dim=2).mT
