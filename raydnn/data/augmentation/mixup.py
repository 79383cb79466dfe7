"""Mixup: convex combinations of pairs of examples, and of their losses (Zhang et al. 2018, arXiv:1710.09412)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raydnn.data.augmentation.technique import Draws
from raydnn.stacking.random import generator


def shares(alpha: float, seed: int, epoch: int, batches: int) -> Tensor:
    """Draw the share of each batch's own examples, max(λ, 1 − λ) with λ ~ Beta(α, α).

    Args:
        alpha: α of a member; 0: it does not mix, its share is 1.
        seed: Its seed.
        epoch: Absolute epoch, from 1.
        batches: Number of batches in the epoch.

    Returns:
        (batches,), on the CPU.
    """
    if alpha == 0:
        return torch.ones(batches)
    # torch draws no Beta from a generator of its own.
    stream = np.random.default_rng(generator("mixup", seed, epoch).initial_seed())
    own = torch.from_numpy(stream.beta(alpha, alpha, batches)).float()
    return own.maximum(1 - own)


def partners(rows: Tensor) -> Tensor:
    """The example that each of a whole batch's (..., B) is mixed with: the one before it, in an order that is drawn."""
    return rows.roll(1, dims=-1)


def mixed(share: Tensor, own: Tensor, of_partners: Tensor) -> Tensor:
    """share·own + (1 − share)·of_partners; a share of 1 keeps `own` to the bit, whatever the partners have.

    Args:
        share: () or (N,).
        own: The inputs (1 or N, n, ...) or losses (N, n, ...) of the batch's examples.
        of_partners: Those of their partners.
    """
    share = share.view(-1, *[1] * (own.dim() - 1))
    return torch.where(share < 1, share * own + (1 - share) * of_partners, own)


@dataclass(frozen=True)
class PartnerDraws:
    """The draws that change the partners, in streams of their own: the examples' stay what they are without mixup."""

    draws: Draws

    def uniform(self, batch_size: int, width: int, stream: str) -> Tensor:
        """Draw U[0, 1): (1 or N, examples of this worker, width)."""
        return self.draws.uniform(batch_size, width, f"mixup.{stream}")
