"""Mixup: convex combinations of pairs of examples, and of their losses (Zhang et al. 2018, arXiv:1710.09412)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raydnn.data.augmentation.augment import Draws
from raydnn.stacking.random import generator


def shares(alphas: Sequence[float], seeds: Sequence[int], epoch: int, batches: int) -> Tensor | None:
    """Draw the share of each batch's own examples, max(λ, 1 − λ) with λ ~ Beta(α, α).

    Args:
        alphas: α of each member; 0: it does not mix, its share is 1.
        seeds: One a member.
        epoch: Absolute epoch, from 1.
        batches: Number of batches in the epoch.

    Returns:
        On the CPU, (batches,) where all members have the same, else (batches, N); None where no member mixes.
    """
    if not any(alphas):
        return None
    keys = list(zip(alphas, seeds, strict=True))
    drawn = {key: _drawn(*key, epoch, batches) for key in set(keys)}
    own = keys[:1] if len(drawn) == 1 else keys
    table = torch.stack([drawn[key] for key in own], dim=1)
    return table[:, 0] if len(own) == 1 else table


def _drawn(alpha: float, seed: int, epoch: int, batches: int) -> Tensor:
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
