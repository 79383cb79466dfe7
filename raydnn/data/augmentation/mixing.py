"""How a batch's examples are mixed with their partners: drawn for an epoch, and done."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raydnn.data.augmentation import cutmix, mixup
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.stacking.random import generator

SHARE = 0
"""Row of a table in which each batch's share of its own examples stands; where a member cuts, its box follows."""


def mixing(
    specs: Sequence[Augmentation], seeds: Sequence[int], epoch: int, batches: int, features: tuple[int, ...]
) -> Tensor | None:
    """Draw how each batch is mixed.

    Args:
        specs: One a member.
        seeds: One a member.
        epoch: Absolute epoch, from 1.
        batches: Number of batches in the epoch.
        features: Shape of one input.

    Returns:
        On the CPU, (batches, rows, 1 where all members have the same, else N); None where no member mixes. The rows are
        the own examples' share, and where a member cuts, first row, first column, height and width of what it pastes,
        0 where it does not.
    """
    if not any(spec.mixes for spec in specs):
        return None
    cuts = any(spec.cutmix for spec in specs)
    keys = [(spec.mixup, spec.cutmix, seed) for spec, seed in zip(specs, seeds, strict=True)]
    drawn = {key: _drawn(*key, epoch, batches, features) for key in set(keys)}
    own = keys[:1] if len(drawn) == 1 else keys
    table = torch.stack([drawn[key] for key in own], dim=2)
    return table if cuts else table[:, : SHARE + 1]


def _drawn(
    alpha: float, cut_alpha: float, seed: int, epoch: int, batches: int, features: tuple[int, ...]
) -> Tensor:
    """Of one member (batches, 5)."""
    shares, box = mixup.shares(alpha, seed, epoch, batches), torch.zeros(batches, 4)
    if cut_alpha:
        height, width = features[-2:]
        box = cutmix.boxes(cut_alpha, seed, epoch, batches, height, width)
        if alpha:
            mixes = torch.rand(batches, generator=generator("mixup or cutmix", seed, epoch)) < 0.5
            box = box.masked_fill(mixes.unsqueeze(1), 0.0)
            shares = torch.where(mixes, shares, cutmix.own_shares(box, height, width))
        else:
            shares = cutmix.own_shares(box, height, width)
    return torch.cat([shares.unsqueeze(1), box], dim=1)


def mixed_inputs(mix: Tensor, own: Tensor, of_partners: Tensor) -> Tensor:
    """The inputs of a batch, mixed with those of their partners.

    Args:
        mix: (rows, 1 or N), of one batch.
        own: (1 or N, n, ...).
        of_partners: Alike.
    """
    blend = mixup.mixed(mix[SHARE], own, of_partners)
    if len(mix) == 1:
        return blend
    found, cut = cutmix.pasted(mix[SHARE + 1 :], own, of_partners)
    return torch.where(cut, found, blend)
