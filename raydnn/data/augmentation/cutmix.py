"""CutMix: a rectangle of another example in place of one's own (Yun et al. 2019, arXiv:1905.04899)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raydnn.data.augmentation.covering import inside
from raydnn.stacking.random import generator


def boxes(alpha: float, seed: int, epoch: int, batches: int, height: int, width: int) -> Tensor:
    """Draw the rectangle that each batch pastes.

    Its sides are √(1 − λ) of the picture's, λ ~ Beta(α, α), its center is drawn evenly, and it is cut at the border.

    Args:
        alpha: α of a member, above 0.
        seed: Its seed.
        epoch: Absolute epoch, from 1.
        batches: Number of batches in the epoch.
        height: Lines of a picture.
        width: Its columns.

    Returns:
        First row, first column, height and width (batches, 4), whole numbers as float32, on the CPU.
    """
    stream = np.random.default_rng(generator("cutmix", seed, epoch).initial_seed())
    share = np.sqrt(1 - stream.beta(alpha, alpha, batches))
    ends = []
    for length in (height, width):
        half, center = (length * share).astype(np.int64) // 2, stream.integers(length, size=batches)
        ends.append((np.maximum(center - half, 0), np.minimum(center + half, length)))
    (top, bottom), (left, right) = ends
    return torch.from_numpy(np.stack([top, left, bottom - top, right - left], axis=1)).float()


def own_shares(box: Tensor, height: int, width: int) -> Tensor:
    """The share of the area that rectangles (..., 4) leave, float32."""
    return 1 - box[..., 2] * box[..., 3] / (height * width)


def pasted(box: Tensor, own: Tensor, of_partners: Tensor) -> tuple[Tensor, Tensor]:
    """Paste partners' rectangles.

    Args:
        box: (4, 1 or N), as `boxes` has it.
        own: The pictures (1 or N, n, H, W) or (1 or N, n, C, H, W) of the batch's examples.
        of_partners: Those of their partners.

    Returns:
        The pictures, and whether a member's rectangle holds a pixel, (1 or N, 1, ...).
    """
    top, left, height, width = box.unsqueeze(-1).unbind()
    within = inside([top, left], [height, width], own)
    within = within.squeeze(2) if own.dim() == 4 else within
    cut = (height * width > 0).view(-1, *[1] * (own.dim() - 1))
    return torch.where(within, of_partners, own), cut
