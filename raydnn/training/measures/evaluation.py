"""Evaluating all members of a stack in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn

from raydnn.data.examples import Examples
from raydnn.nn.objective import Objective
from raydnn.spec.data import Task
from raydnn.training.faults.watchdog import beat
from raydnn.training.measures.accuracy import hits
from raydnn.training.workers import Workers

CHUNK = {"cpu": 128, "cuda": 4096}
"""Device → examples a pass: enough to fill it, few enough that the activations of a stack stay in a CPU's cache.

It does not depend on the stack, since products of another size may round differently.
"""


class Networks(Protocol):
    """What is evaluated: N networks at once, of a stack or read back."""

    @property
    def members(self) -> Sized:
        """N of them."""

    @property
    def module(self) -> nn.Module:
        """(1, B, *shape) or (N, B, *shape) → (N, B, K)."""

    @property
    def objective(self) -> Objective:
        """Their losses."""

    @property
    def task(self) -> Task:
        """What is learned."""

    @property
    def outputs(self) -> int:
        """K, units of the output layer."""

    @property
    def has_accuracy(self) -> bool:
        """Whether they get examples right or wrong."""

    @property
    def workers(self) -> Workers:
        """This process among the data-parallel workers."""

    @property
    def device(self) -> torch.device:
        """Where they are."""

    @property
    def pieces(self) -> int:
        """How many pieces each pass is computed in."""

    def in_precision(self) -> AbstractContextManager[None]:
        """Where they compute in their precision."""


@torch.no_grad()
def evaluate(stack: Networks, examples: Examples, *, flips: bool = False) -> tuple[Tensor, Tensor | None]:
    """Mean loss and accuracy of every member.

    Args:
        stack: The members.
        examples: On the stack's device.
        flips: Whether an image's prediction is the mean of its own and its mirror image's, left and right.

    Returns:
        Loss (N,), without what only weighs or smooths the training loss; and accuracy (N,), None where there is none.
    """
    workers = stack.workers
    if stack.objective.compares:
        return workers.sum(_loss_of_set(stack, examples, flips)) / len(examples), None
    loss = torch.zeros(len(stack.members), device=stack.device)
    correct = torch.zeros_like(loss)
    has_accuracy = stack.has_accuracy
    for outputs, answers in _answered(stack, examples, flips):
        loss += stack.objective.evaluation(outputs, answers).sum(dim=1)
        if has_accuracy:
            correct += hits(stack.task, outputs, answers).sum(dim=1)
    loss = workers.sum(loss) / len(examples)
    return loss, workers.sum(correct) / len(examples) if has_accuracy else None


def _answered(stack: Networks, examples: Examples, flips: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (N, b, K) and targets of this worker's examples, chunk by chunk."""
    size = CHUNK[stack.device.type] // stack.pieces
    for inputs, targets in examples.chunks(size, stack.workers.rank, stack.workers.count):
        with stack.in_precision():
            outputs = stack.module(inputs.unsqueeze(0)).float()
            if flips:
                mirrored = stack.module(inputs.flip(-1).unsqueeze(0)).float()
                outputs = stack.objective.averaged(outputs, mirrored)
        yield outputs, targets
        beat()


def _loss_of_set(stack: Networks, examples: Examples, flips: bool) -> Tensor:
    """Sums (N,) of this worker's examples' losses, each measured against the whole set."""
    workers, n = stack.workers, len(examples)
    own = slice(workers.rank, None, workers.count)
    outputs = torch.zeros(len(stack.members), n, stack.outputs, device=stack.device)
    targets = torch.zeros(n, *examples.target_shape, dtype=torch.long, device=stack.device)
    own_outputs, own_targets, start = outputs[:, own], targets[own], 0
    for found, answers in _answered(stack, examples, flips):
        rows = slice(start, start + len(answers))
        own_outputs[:, rows], own_targets[rows] = found, answers
        start += len(answers)
    losses = stack.objective.evaluation_of_set(workers.sum(outputs), workers.sum(targets), own)
    return losses.sum(dim=1, dtype=torch.float64).float()
