"""One epoch of a stack: every step's forward, backward and update, and the running training metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from raydnn.data import mixup
from raydnn.data.batches import order
from raydnn.data.dataset import Split
from raydnn.nn.noise import Noise
from raydnn.optim.clipping import clip_gradients
from raydnn.optim.descent import scales
from raydnn.optim.penalties import add_penalties, constrain
from raydnn.train.batch import make_batch
from raydnn.train.gradients import backpropagate
from raydnn.train.stack import Stack
from raydnn.train.tally import Tally


@dataclass(frozen=True)
class EpochMetrics:
    """What was measured while an epoch was trained, one number a member; vectors (N,)."""

    train_loss: Tensor
    """Mean over the epoch's examples, each measured before the step it took part in."""
    train_accuracy: Tensor | None
    """With mixup an example counts by its own target, which has the larger share."""
    grad_norm: Tensor
    """Norm of the whole gradient at the last step, before clipping."""


@torch.no_grad()
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
    noise = Noise(seeds, epoch, stack.device, workers.rank, workers.count)
    alphas = [member.spec.train.augmentation.mixup for member in members]
    shares = mixup.shares(alphas, seeds, epoch, ceil(n / batch_size), stack.device)
    tally = Tally(stack)

    def differentiate(step: int, rows: Tensor, scale: Tensor | float) -> None:
        batches = (rows,) if rows.shape[-1] <= batch_size else torch.split(rows, batch_size, dim=-1)
        for number, of_batch in enumerate(batches):
            share = None if shares is None else shares[step * step_size // batch_size + number]
            batch = make_batch(stack, split, of_batch, share, noise)
            first, last = number == 0, number == len(batches) - 1
            tally.add(backpropagate(stack, batch, noise, scale=scale, first=first, last=last))
        add_penalties(stack.penalties, stack.parameters, stack.gradients)

    def update(done: Sequence[slice]) -> None:
        clip_gradients(stack.clips, stack.gradients, stack.layout.shapes)
        stack.optimizer.step(stack.parameters, stack.gradients, done)
        constrain(stack.penalties, stack.weights)

    *steps, last_step = torch.split(_orders(seeds, epoch, n, stack.device), step_size, dim=-1)
    stack.optimizer.plan(table[0], table[1])
    scaled = (
        scales(table[0], stack.descending, step_size, stack.parameters.dtype) if stack.descending else None
    )
    with stack.in_descent():
        for number, rows in enumerate(steps):
            differentiate(number, rows, 1 / step_size if scaled is None else scaled[number])
            update(done=stack.descending)
    # All members' gradients are seen once an epoch.
    differentiate(len(steps), last_step, 1 / last_step.shape[-1])
    grad_norm = stack.gradients.norm(dim=1)
    if before_last_step is not None:
        before_last_step(stack.gradients)
    update(done=())
    loss, accuracy = tally.means(n)
    return EpochMetrics(loss, accuracy, grad_norm)


def _orders(seeds: list[int], epoch: int, n: int, device: torch.device) -> Tensor:
    """The order of the examples: (n,) where all members share a seed, else (N, n)."""
    by_seed = {seed: order(seed, epoch, n) for seed in set(seeds)}
    if len(by_seed) == 1:
        return by_seed[seeds[0]].to(device)
    return torch.stack([by_seed[seed] for seed in seeds]).to(device)
