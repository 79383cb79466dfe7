"""One epoch of a stack: every step's forward, backward and update, and the running training metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from raydnn.data import mixup
from raydnn.data.batches import order
from raydnn.data.dataset import Split
from raydnn.nn.noise import Noise
from raydnn.optim.clipping import clip_gradients
from raydnn.optim.penalties import add_penalties, constrain
from raydnn.train.accuracy import hits
from raydnn.train.batch import make_batch
from raydnn.train.gradients import backpropagate
from raydnn.train.stack import Stack


@dataclass(frozen=True)
class EpochMetrics:
    """What was measured while an epoch was trained, one number a member; vectors (N,)."""

    train_loss: Tensor
    """Mean over the epoch's examples, each measured before the step it took part in."""
    train_accuracy: Tensor | None
    """With mixup an example counts by its own target, which has the larger share."""
    grad_norm: Tensor
    """Norm of the whole gradient at the last step, before clipping."""


def train_epoch(
    stack: Stack,
    split: Split,
    epoch: int,
    table: Tensor,
    before_last_step: Callable[[Tensor], None] | None = None,
) -> EpochMetrics:
    """Visit every training example once, in the order of (seed, epoch).

    Args:
        stack: The members; changed in place.
        split: The training examples, on the stack's device; inputs are flat (n, F).
        epoch: Absolute epoch, from 1.
        table: Learning rates and momenta (2, steps, N), float64.
        before_last_step: Called with the last step's gradients (N, P), not yet clipped, before that step is made.
    """
    members, workers = stack.members, stack.workers
    n = len(split)
    batch_size = members[0].spec.train.batch_of(n)
    step_size = members[0].spec.train.step_of(n)
    seeds = [member.spec.seed for member in members]
    orders = _orders(seeds, epoch, n, stack.device)
    noise = Noise(seeds, epoch, stack.device, workers.rank, workers.count)
    alphas = [member.spec.train.augmentation.mixup for member in members]
    shares = mixup.shares(alphas, seeds, epoch, ceil(n / batch_size), stack.device)
    loss_sum = torch.zeros(len(members), device=stack.device)
    correct = torch.zeros(len(members), device=stack.device)
    grad_norm = loss_sum
    stack.optimizer.plan(table[0], table[1])
    for start in range(0, n, step_size):
        stop = min(start + step_size, n)
        batches = [
            orders[..., first : min(first + batch_size, stop)] for first in range(start, stop, batch_size)
        ]
        for number, rows in enumerate(batches):
            share = None if shares is None else shares[start // batch_size + number]
            batch = make_batch(stack, split, rows, share, noise)
            outputs, losses = backpropagate(
                stack, batch, noise, examples=stop - start, first=number == 0, last=number == len(batches) - 1
            )
            loss_sum += losses
            if stack.has_accuracy:
                correct += hits(stack.task, outputs, batch.labels.targets).sum(dim=1)
        gradients = stack.gradients
        add_penalties(stack.penalties, stack.parameters, gradients)
        if start + step_size >= n:
            grad_norm = gradients.norm(dim=1)
            if before_last_step is not None:
                before_last_step(gradients)
        clip_gradients(stack.clips, gradients, stack.layout.shapes)
        stack.optimizer.step(stack.parameters, gradients)
        constrain(stack.penalties, stack.weights)
    train_loss = workers.sum(loss_sum) / n
    accuracy = workers.sum(correct) / n if stack.has_accuracy else None
    return EpochMetrics(train_loss, accuracy, grad_norm)


def _orders(seeds: list[int], epoch: int, n: int, device: torch.device) -> Tensor:
    """The order of the examples: (n,) where all members share a seed, else (N, n)."""
    by_seed = {seed: order(seed, epoch, n) for seed in set(seeds)}
    if len(by_seed) == 1:
        return by_seed[seeds[0]].to(device)
    return torch.stack([by_seed[seed] for seed in seeds]).to(device)
