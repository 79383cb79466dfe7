"""What hides pixels of a picture: noise, and rectangles of 0."""

from __future__ import annotations

from math import log, prod

import torch
from torch import Tensor

from raydnn.data.augmentation.technique import Asked, of_pictures
from raydnn.stacking.noise import normal

AREA = (0.02, 0.33)
"""Shares of a picture's area that random erasing covers."""
ASPECT = (0.3, 3.3)
"""Heights of a rectangle that it covers over its width."""


def noise(pictures: Tensor, asked: Asked) -> Tensor:
    """Add normal noise to each number of each pixel."""
    shape = pictures.shape[2:]
    drawn = normal(asked.uniform(prod(shape), "pixels"))
    drawn = asked.settings["noise"].unsqueeze(2) * drawn
    return pictures + drawn.reshape(*drawn.shape[:2], *shape)


def cutout(pictures: Tensor, asked: Asked) -> Tensor:
    """Cover a square, its center drawn anywhere."""
    drawn, side = asked.uniform(2, "cutout"), asked.settings["cutout"]
    first = [
        (center * length).long().clamp(max=length - 1) - side // 2
        for center, length in zip(drawn.unbind(-1), pictures.shape[-2:], strict=True)
    ]
    return covered(pictures, first, [side, side])


def random_erasing(pictures: Tensor, asked: Asked) -> Tensor:
    """Cover a rectangle of drawn area, shape and place, with a given probability."""
    height, width = pictures.shape[-2:]
    erased, area, aspect, top, left = asked.uniform(5, "random_erasing").unbind(-1)
    area = (AREA[0] + area * (AREA[1] - AREA[0])) * (height * width)
    aspect = (log(ASPECT[0]) + aspect * (log(ASPECT[1]) - log(ASPECT[0]))).exp()
    sides = [
        side.sqrt().round().clamp(1, length)
        for side, length in ((area * aspect, height), (area / aspect, width))
    ]
    first = [
        (place * (length - side + 1)).floor().minimum(length - side)
        for place, side, length in zip((top, left), sides, (height, width), strict=True)
    ]
    chosen = erased < asked.settings["random_erasing"]
    return torch.where(of_pictures(chosen), covered(pictures, first, sides), pictures)


def covered(pictures: Tensor, first: list[Tensor], sides: list[Tensor]) -> Tensor:
    """Pictures of which a rectangle each is 0.

    Args:
        pictures: (1 or N, n, C, H, W).
        first: Its first row and its first column, whole numbers (1 or N, n), perhaps outside.
        sides: Its height and its width, alike.
    """
    return pictures.masked_fill(inside(first, sides, pictures), 0.0)


def inside(first: list[Tensor], sides: list[Tensor], pictures: Tensor) -> Tensor:
    """Which pixels lie in rectangles as those of `covered`: bool (1 or N, n, 1, H, W)."""
    lines, columns = (
        _between(start, side, length)
        for start, side, length in zip(first, sides, pictures.shape[-2:], strict=True)
    )
    return (lines[..., :, None] & columns[..., None, :]).unsqueeze(2)


def _between(first: Tensor, side: Tensor, length: int) -> Tensor:
    """Which of `length` pixels are among `side` from `first` on: (..., length)."""
    pixels = torch.arange(length, device=first.device)
    return (pixels >= first.unsqueeze(-1)) & (pixels < (first + side).unsqueeze(-1))
