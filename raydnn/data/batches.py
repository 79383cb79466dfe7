"""The order in which an epoch visits the training examples."""

from __future__ import annotations

import torch

from raydnn.stacking.random import generator


def order(seed: int, epoch: int, n: int) -> torch.Tensor:
    """Return the permutation of the examples for one epoch.

    Args:
        seed: Seed of the trial, or of the sweep when its trials share one order.
        epoch: Number of the epoch, 1-based.
        n: Number of training examples.

    Returns:
        int64 tensor of shape (n,) on the CPU; it depends on the arguments alone.
    """
    return torch.randperm(n, generator=generator("order", seed, epoch))
