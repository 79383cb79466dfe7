"""One epoch of a stack: every step's passes and update, and the running training metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, nan

import torch
from torch import Tensor

from raydnn.data.augmentation.mixing import mixing
from raydnn.data.examples import Examples
from raydnn.optim.clipping import clip_gradients
from raydnn.optim.optimizers.descent import scales
from raydnn.optim.penalties import constrain
from raydnn.training.crossing import to_device
from raydnn.training.faults.watchdog import beat
from raydnn.training.measures.tally import Tally
from raydnn.training.stack.loss_scale import LossScale
from raydnn.training.stack.stack import Stack
from raydnn.training.steps.passes import Passes


@dataclass(frozen=True)
class EpochMetrics:
    """What was measured while an epoch was trained, one number a member; vectors (N,)."""

    train_loss: Tensor
    """Mean over the epoch's examples, each measured before the step it took part in."""
    train_accuracy: Tensor | None
    """A mixed example counts by its own target, which has the larger share with mixup, and any with CutMix."""
    grad_norm: Tensor
    """Norm of the whole gradient at the last step, before clipping; not a number where the step was not made."""


@torch.no_grad()
def train_epoch(
    passes: Passes,
    epoch: int,
    table: Tensor,
    before_last_step: Callable[[Tensor], None] | None = None,
) -> EpochMetrics:
    """Visit every training example once, in the order of (seed, epoch).

    Args:
        passes: Those of the stack, which is changed in place, over its training examples.
        epoch: Absolute epoch, from 1.
        table: Learning rates and momenta (2, steps, N), float64, on the CPU.
        before_last_step: Called with the last step's gradients (N, P), not yet clipped, before that step is made.
    """
    stack, n, step_size = passes.stack, len(passes.examples), passes.step_size
    members, dtype = stack.members, stack.parameters.dtype
    seeds = [member.spec.seed for member in members]
    augmentations = [member.spec.train.augmentation for member in members]
    mixes = mixing(augmentations, seeds, epoch, ceil(n / passes.batch_size), stack.features)
    orders = _orders(passes.examples, seeds, epoch)
    table, orders, *there = to_device(
        [table, orders] if mixes is None else [table, orders, mixes.double()], stack.device
    )
    if there:
        mixes = there[0].float()
    tally = Tally(stack)

    def mixes_of(step: int) -> Tensor | None:
        if mixes is None:
            return None
        batches = ceil(step_size / passes.batch_size)
        return mixes[step * batches : (step + 1) * batches]

    *steps, last_step = torch.split(orders, step_size, dim=-1)
    passes.begin(epoch)
    scaling = stack.loss_scale
    if scaling is None:
        stack.optimizer.plan(table[0], table[1])
    every = scales(table[0, :-1], stack.backprop.descending, step_size, dtype)
    with stack.backprop.descent():
        for number, rows in enumerate(steps):
            tally.add(passes.one_of_many(rows, every[number], mixes_of(number)))
            done = stack.backprop.descending if scaling is None else _planned(stack, scaling, table, number)
            _update(stack, done)
            beat()
    # Once an epoch all members' gradients are seen.
    (last,) = scales(table[0, -1:], [], last_step.shape[-1], dtype)
    tally.add(passes(last_step, last, mixes_of(len(steps))))
    grad_norm = stack.gradients.norm(dim=1)
    done = () if scaling is None else _planned(stack, scaling, table, len(steps))
    for without in done:
        grad_norm[without] = nan
    if before_last_step is not None:
        before_last_step(stack.gradients)
    _update(stack, done)
    beat()
    loss, accuracy = tally.means(n)
    return EpochMetrics(loss, accuracy, grad_norm)


def _planned(stack: Stack, scaling: LossScale, table: Tensor, number: int) -> Sequence[slice]:
    """Plan one step for the members whose gradients are finite; returns the others, whose count of steps stays."""
    without = scaling.move()
    for own in without:
        stack.gradients[own] = (
            0.0  # Clipping would bring what is not finite to numbers that nothing writes again.
        )
    stack.optimizer.plan_step(table[0, number], table[1, number], without)
    return without


def _update(stack: Stack, done: Sequence[slice]) -> None:
    """Let the gradients move the parameters, but for members that are `done`."""
    clip_gradients(stack.clips, stack.gradients, stack.layout)
    stack.optimizer.step(stack.parameters, stack.gradients, done)
    constrain(stack.penalties, stack.weights)


def _orders(examples: Examples, seeds: list[int], epoch: int) -> Tensor:
    """The order of the examples: (n,) where all members share a seed, else (N, n)."""
    by_seed = {seed: examples.order(seed, epoch) for seed in set(seeds)}
    if len(by_seed) == 1:
        return by_seed[seeds[0]]
    return torch.stack([by_seed[seed] for seed in seeds])
