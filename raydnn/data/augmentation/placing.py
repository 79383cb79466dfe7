"""Where the pixels of a picture are: mirrored, transformed, cropped, shifted."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.data.augmentation.geometry import shifted, transformed
from raydnn.data.augmentation.technique import Asked, Technique, of_pictures

TRANSFORMS = ("rotate", "scale", "shear")
"""The techniques that share one bilinear sampling."""


def flip(pictures: Tensor, asked: Asked) -> Tensor:
    """Mirror left and right."""
    mirrored = asked.uniform(1, "flip")[..., 0] < asked.settings["flip"]
    return torch.where(of_pictures(mirrored), pictures.flip(-1), pictures)


def transform(pictures: Tensor, asked: Asked) -> Tensor:
    """Rotate, scale and shear about the center."""
    rotation, change, shear = (asked.deviation(name) for name in TRANSFORMS)
    moved = transformed(pictures, rotation, 1 + change, shear)
    return torch.where(of_pictures(asked.having(*TRANSFORMS)), moved, pictures)


def shift_by(name: str) -> Technique:
    """Shift by whole pixels, as many as the setting of a name says at most."""

    def change(pictures: Tensor, asked: Asked) -> Tensor:
        largest = asked.settings[name].unsqueeze(2)
        drawn = asked.uniform(2, name) * (2 * largest + 1)
        # Rounding may bring a draw below 1 up to it.
        down, right = (drawn.long().clamp(max=2 * largest) - largest).unbind(-1)
        return shifted(pictures, down, right)

    return change
