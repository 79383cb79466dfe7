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
    has_accuracy = stack.has_accuracy
    for step, start in enumerate(range(0, n, step_size)):
        batches = torch.split(orders[..., start : start + step_size], batch_size, dim=-1)
        examples = sum(rows.shape[-1] for rows in batches)
        for number, rows in enumerate(batches, 1):
            mine = rows[..., workers.rank :: workers.count]
            targets = split.targets[mine]
            weights = None if split.weights is None else split.weights[mine]
            inputs = stack.augmenter(split.inputs[mine], noise, rows.shape[-1])
            if shares is not None:
                share = shares[start // batch_size + number - 1]
                others = mixup.partners(rows)[..., workers.rank :: workers.count]
                draws = mixup.PartnerDraws(noise)
                their_inputs = stack.augmenter(split.inputs[others], draws, rows.shape[-1])
                inputs = mixup.mixed(share[..., None, None], inputs, their_inputs)
            with workers.delaying(stack.shared_module, number < len(batches)):
                outputs = stack.shared_module(inputs, noise, rows.shape[-1])
                losses = stack.objective.training(outputs, targets, weights)
                if shares is not None:
                    their_weights = None if split.weights is None else split.weights[others]
                    their_losses = stack.objective.training(outputs, split.targets[others], their_weights)
                    losses = mixup.mixed(share[..., None], losses, their_losses)
                losses = losses.sum(dim=1)
                # Gradients are averaged over the workers, whose shares of a batch may differ in size.
                (losses.sum() * (workers.count / examples)).backward()  # type: ignore[no-untyped-call]
            loss_sum += losses.detach()
            if has_accuracy:
                correct += hits(stack.task, outputs.detach(), targets).sum(dim=1)
        gradients = stack.gather_gradients()
        add_penalties(stack.penalties, stack.parameters, gradients)
        if start + step_size >= n:
            grad_norm = gradients.norm(dim=1)
            if before_last_step is not None:
                before_last_step(gradients)
        clip_gradients(stack.clips, gradients, stack.layout.shapes)
        stack.optimizer.step(stack.parameters, gradients, table[0, step], table[1, step])
        constrain(stack.penalties, stack.weights)
    train_loss = workers.sum(loss_sum) / n
    accuracy = workers.sum(correct) / n if has_accuracy else None
    return EpochMetrics(train_loss, accuracy, grad_norm)


def _orders(seeds: list[int], epoch: int, n: int, device: torch.device) -> Tensor:
    """The order of the examples: (n,) where all members share a seed, else (N, n)."""
    by_seed = {seed: order(seed, epoch, n) for seed in set(seeds)}
    if len(by_seed) == 1:
        return by_seed[seeds[0]].to(device)
    return torch.stack([by_seed[seed] for seed in seeds]).to(device)
