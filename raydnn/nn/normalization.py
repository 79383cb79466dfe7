"""Normalization of a stack's layers: functions of z (N, B, H), with γ and β (N, H) a member."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.nn import functional as collectives


def batch_norm(
    z: Tensor,
    scale: Tensor,
    shift: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
    momentum: Tensor,
    eps: Tensor,
    *,
    training: bool,
    batch_size: int,
    workers: int,
) -> Tensor:
    """Normalize every unit over the batch, or at evaluation by the running averages.

    Args:
        z: (N, B, H), B examples of this worker.
        scale: γ (N, H).
        shift: β (N, H).
        running_mean: (N, H), updated in place in training.
        running_variance: (N, H), of the unbiased variance, updated in place in training.
        momentum: Share of the batch in the running averages, (N, 1).
        eps: (N, 1, 1).
        training: Whether the batch's own statistics are used.
        batch_size: Examples of the whole batch, over all workers.
        workers: Number of data-parallel workers; their statistics are summed, so that their number changes nothing.
    """
    if not training:
        mean, variance = running_mean.unsqueeze(1), running_variance.unsqueeze(1)
    else:
        mean = _over_workers(z.sum(dim=1, keepdim=True), workers) / batch_size
        variance = _over_workers((z - mean).square().sum(dim=1, keepdim=True), workers) / batch_size
        with torch.no_grad():
            running_mean.lerp_(mean.squeeze(1), momentum)
            unbiased = variance.squeeze(1) * (batch_size / max(batch_size - 1, 1))
            running_variance.lerp_(unbiased, momentum)
    return (z - mean) * (scale.unsqueeze(1) * torch.rsqrt(variance + eps)) + shift.unsqueeze(1)


def group_norm(z: Tensor, scale: Tensor, shift: Tensor, eps: Tensor, groups: int) -> Tensor:
    """Normalize every example over each of `groups` groups of units; with one group this is layer norm.

    Args:
        z: (N, B, H).
        scale: γ (N, H).
        shift: β (N, H).
        eps: (N, 1, 1).
        groups: Divides H.
    """
    grouped = z.unflatten(-1, (groups, -1))
    mean = grouped.mean(dim=-1, keepdim=True)
    variance = grouped.var(dim=-1, keepdim=True, correction=0)
    normalized = ((grouped - mean) * torch.rsqrt(variance + eps.unsqueeze(-1))).flatten(-2)
    return normalized * scale.unsqueeze(1) + shift.unsqueeze(1)


def _over_workers(values: Tensor, workers: int) -> Tensor:
    return values if workers == 1 else collectives.all_reduce(values)
