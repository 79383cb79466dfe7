"""Moving the pixels of images (M, n, H, W), each by numbers of its own; what comes from outside is 0.

Images and numbers (M, n) have the same leading M, or one of them has M = 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move images by whole pixels.

    Args:
        images: (M, n, H, W).
        down: Rows, int64 (M, n).
        right: Columns, int64 (M, n).
    """
    return _shifted_down(_shifted_down(images, down).mT, right).mT


def _shifted_down(images: Tensor, by: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    source = torch.arange(height, device=images.device) - by.unsqueeze(-1)
    inside = (source >= 0) & (source < height)
    members = max(len(images), len(source))
    images = images.expand(members, -1, -1, -1)
    index = source.clamp(0, height - 1).unsqueeze(-1).expand(members, -1, -1, width)
    return torch.where(inside.unsqueeze(-1), images.gather(-2, index), 0.0)


def transformed(images: Tensor, rotation: Tensor, factor: Tensor, shear: Tensor) -> Tensor:
    """Shear, rotate and scale images about their centers, bilinearly.

    The pixel at p = (x, y), right and down from the center, gets the value at p′:
    p = f·R(θ)·[[1, −tan κ], [0, 1]]·p′, so p′ = [[1, tan κ], [0, 1]]·R(−θ)·p/f.

    Args:
        images: (M, n, H, W).
        rotation: θ in degrees, clockwise (M, n).
        factor: f, above 0 (M, n).
        shear: κ in degrees (M, n).
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = (torch.arange(height, device=images.device) - (height - 1) / 2).unsqueeze(1)
    angle, factor, slope = (
        values[..., None, None] for values in (rotation.deg2rad(), factor, shear.deg2rad().tan())
    )
    # Written out, not by affine_grid: a matrix product's rounding may depend on the size of the stack.
    from_y = (y * angle.cos() - x * angle.sin()) / factor
    from_x = (x * angle.cos() + y * angle.sin()) / factor + slope * from_y
    from_y = from_y.expand(from_x.shape)
    grid = torch.stack([from_x * (2 / width), from_y * (2 / height)], dim=-1)
    members = max(len(images), len(grid))
    images = images.expand(members, -1, -1, -1)
    grid = grid.expand(members, -1, -1, -1, -1)
    sampled = functional.grid_sample(
        images.reshape(-1, 1, height, width), grid.flatten(0, 1), padding_mode="zeros", align_corners=False
    )
    return sampled.reshape(images.shape)
