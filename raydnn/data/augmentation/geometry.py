"""Moving the pixels of pictures (M, n, C, H, W), each by numbers of its own; what comes from outside is 0.

Pictures and numbers (M, n) have the same leading M, or one of them has M = 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def shifted(pictures: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move pictures by whole pixels.

    Args:
        pictures: (M, n, C, H, W).
        down: Rows, int64 (M, n).
        right: Columns, int64 (M, n).
    """
    return _shifted_down(_shifted_down(pictures, down).mT, right).mT


def _shifted_down(pictures: Tensor, by: Tensor) -> Tensor:
    height = pictures.shape[-2]
    source = torch.arange(height, device=pictures.device) - by.unsqueeze(-1)
    inside = (source >= 0) & (source < height)
    pictures = pictures.expand(max(len(pictures), len(source)), -1, -1, -1, -1)
    lines = source.clamp(0, height - 1)[..., None, :, None].expand(pictures.shape)
    return torch.where(inside[..., None, :, None], pictures.gather(-2, lines), 0.0)


def transformed(pictures: Tensor, rotation: Tensor, factor: Tensor, shear: Tensor) -> Tensor:
    """Shear, rotate and scale pictures about their centers, bilinearly.

    The pixel at p = (x, y), right and down from the center, gets the value at p′:
    p = f·R(θ)·[[1, −tan κ], [0, 1]]·p′, so p′ = [[1, tan κ], [0, 1]]·R(−θ)·p/f.

    Args:
        pictures: (M, n, C, H, W).
        rotation: θ in degrees, clockwise (M, n).
        factor: f, above 0 (M, n).
        shear: κ in degrees (M, n).
    """
    x, y = pixel_centers(pictures)
    angle, factor, slope = (
        values[..., None, None] for values in (rotation.deg2rad(), factor, shear.deg2rad().tan())
    )
    # Written out, not by affine_grid: a matrix product's rounding may depend on the size of the stack.
    from_y = (y * angle.cos() - x * angle.sin()) / factor
    from_x = (x * angle.cos() + y * angle.sin()) / factor + slope * from_y
    return sampled(pictures, from_x, from_y)


def pixel_centers(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Where the pixels of pictures (M, n, C, H, W) are, right (W,) and down (H, 1) from their centers."""
    height, width = pictures.shape[-2:]
    x = torch.arange(width, device=pictures.device) - (width - 1) / 2
    y = (torch.arange(height, device=pictures.device) - (height - 1) / 2).unsqueeze(1)
    return x, y


def sampled(pictures: Tensor, from_x: Tensor, from_y: Tensor) -> Tensor:
    """Pictures of which each pixel has the value that another place has, bilinear between pixels.

    Args:
        pictures: (M, n, C, H, W).
        from_x: How far that place is right of the center, in pixels (M, n, H, W).
        from_y: How far it is below, alike.
    """
    height, width = pictures.shape[-2:]
    grid = torch.stack([from_x * (2 / width), from_y.expand(from_x.shape) * (2 / height)], dim=-1)
    members = max(len(pictures), len(grid))
    pictures = pictures.expand(members, -1, -1, -1, -1)
    grid = grid.expand(members, pictures.shape[1], -1, -1, -1)
    # The color channels share a grid, whose products are then made once.
    found = functional.grid_sample(
        pictures.flatten(0, 1), grid.flatten(0, 1), padding_mode="zeros", align_corners=False
    )
    return found.reshape(pictures.shape)
