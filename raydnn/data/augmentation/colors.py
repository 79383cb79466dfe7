"""How bright and how colorful pixels are, of values (M, n, C, H, W) from 0 to 1.

As in torchvision and Pillow: with a factor f a value v becomes f·v + (1 − f)·u, cut to [0, 1], where the picture u has
none of what is changed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from raydnn.data.augmentation.technique import Asked, of_pictures

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in how bright a pixel is (ITU-R BT.601)."""

JITTERED = ("brightness", "contrast", "color")
"""What color jitter changes, in this order; the last one is saturation."""


def color_jitter(pictures: Tensor, asked: Asked) -> Tensor:
    """Change brightness, contrast and, of red, green and blue, saturation."""
    assert asked.shades is not None, "some member changes colors"
    values = asked.shades.values(pictures)
    factors = 1 + (2 * asked.uniform(3, "color_jitter") - 1) * asked.settings["color_jitter"].unsqueeze(2)
    for name, factor in zip(JITTERED, factors.unbind(-1), strict=True):
        values = blended(values, WITHOUT[name](values), factor)
    return torch.where(of_pictures(asked.having("color_jitter")), asked.shades.inputs(values), pictures)


def blended(values: Tensor, without: Tensor, factor: Tensor) -> Tensor:
    """Values farther from `without`, with factors (M, n) above 1, or nearer to it."""
    factor = of_pictures(factor)
    return (factor * values + (1 - factor) * without).clamp_(0, 1)


def black(values: Tensor) -> Tensor:
    """Without brightness."""
    return torch.zeros_like(values)


def flat(values: Tensor) -> Tensor:
    """Without contrast: each picture's mean."""
    # In float64, so that it does not round by how many pictures there are.
    return gray(values).mean((-3, -2, -1), keepdim=True, dtype=torch.float64).float()


def gray(values: Tensor) -> Tensor:
    """Without color: how bright pixels of red, green and blue are (M, n, 1, H, W); other channels stay."""
    if values.shape[-3] != len(LUMA):
        return values
    red, green, blue = LUMA
    return red * values[..., :1, :, :] + green * values[..., 1:2, :, :] + blue * values[..., 2:, :, :]


def smooth(values: Tensor) -> Tensor:
    """Without sharpness: smoothed by [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13, but for the borders."""
    if min(values.shape[-2:]) < 3:
        return values
    rows = values[..., :-2, :] + values[..., 1:-1, :] + values[..., 2:, :]
    around = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    found = values.clone()
    found[..., 1:-1, 1:-1] = (around + 4 * values[..., 1:-1, 1:-1]) / 13
    return found


WITHOUT: dict[str, Callable[[Tensor], Tensor]] = {
    "brightness": black,
    "color": gray,
    "contrast": flat,
    "sharpness": smooth,
}
"""What is changed → pictures without it."""
