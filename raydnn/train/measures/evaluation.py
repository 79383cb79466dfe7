"""Evaluating all members of a stack in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.data.dataset import Split
from raydnn.train.faults.watchdog import beat
from raydnn.train.measures.accuracy import hits
from raydnn.train.stack.stack import Stack

CHUNK = {"cpu": 128, "cuda": 4096}
"""Device → examples a pass: enough to fill it, few enough that the activations of a stack stay in a CPU's cache.

It does not depend on the stack, since products of another size may round differently.
"""


@torch.no_grad()
def evaluate(stack: Stack, split: Split) -> tuple[Tensor, Tensor | None]:
    """Mean loss and accuracy of every member.

    Args:
        stack: The members.
        split: The examples, on the stack's device; inputs (n, *features).

    Returns:
        Loss (N,), without what only weighs or smooths the training loss; and accuracy (N,), None where there is none.
    """
    workers = stack.workers
    if stack.objective.compares:
        return workers.sum(_loss_of_set(stack, split)) / len(split), None
    inputs = split.inputs[workers.rank :: workers.count]
    targets = split.targets[workers.rank :: workers.count]
    loss = torch.zeros(len(stack.members), device=stack.device)
    correct = torch.zeros_like(loss)
    has_accuracy = stack.has_accuracy
    size = CHUNK[stack.device.type] // stack.pieces
    for start in range(0, len(targets), size):
        answers = targets[start : start + size]
        with stack.in_precision():
            outputs = stack.module(inputs[start : start + size].unsqueeze(0)).float()
        loss += stack.objective.evaluation(outputs, answers).sum(dim=1)
        if has_accuracy:
            correct += hits(stack.task, outputs, answers).sum(dim=1)
        beat()
    loss = workers.sum(loss) / len(split)
    return loss, workers.sum(correct) / len(split) if has_accuracy else None


def _loss_of_set(stack: Stack, split: Split) -> Tensor:
    """Sums (N,) of this worker's examples' losses, each measured against the whole set."""
    workers, size = stack.workers, CHUNK[stack.device.type] // stack.pieces
    own = slice(workers.rank, None, workers.count)
    outputs = torch.zeros(len(stack.members), len(split), stack.outputs, device=stack.device)
    chunks = []
    for inputs in torch.split(split.inputs[own], size):
        with stack.in_precision():
            chunks.append(stack.module(inputs.unsqueeze(0)).float())
        beat()
    outputs[:, own] = torch.cat(chunks, dim=1)
    losses = stack.objective.evaluation_of_set(workers.sum(outputs), split.targets, own)
    return losses.sum(dim=1, dtype=torch.float64).float()
