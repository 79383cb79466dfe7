"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719): operations of a fixed set, one magnitude for all of them.

Each picture draws its own operations. All are computed for all pictures and one of them is taken, so that nothing
depends on what was drawn and a step can be captured.
"""

from __future__ import annotations

from collections.abc import Callable
from math import radians

import torch
from torch import Tensor

from raydnn.data.augmentation.colors import WITHOUT, blended
from raydnn.data.augmentation.geometry import pixel_centers, sampled
from raydnn.data.augmentation.technique import Asked, of_pictures

LEVELS = 30
"""The largest magnitude."""

SHADES = 256
"""Of 8 bits."""

Tone = Callable[[Tensor, Tensor], Tensor]
"""Values (M, n, C, H, W) from 0 to 1, and the magnitude (M, 1), from 0 to 1 → such values."""


def posterize(values: Tensor, level: Tensor) -> Tensor:
    """The 8 bits of a value without the last 0 to 4."""
    step = of_pictures(torch.exp2((4 * level).round()))
    return ((values.clamp(0, 1) * 255).round() / step).floor() * step / 255


def solarize(values: Tensor, level: Tensor) -> Tensor:
    """What is bright, from 1 − m on, turned to its negative."""
    return torch.where(values >= of_pictures(1 - level), 1 - values, values)


def autocontrast(values: Tensor, _level: Tensor) -> Tensor:
    """Each channel stretched to go from 0 to 1, unless it is all the same."""
    low, high = values.amin((-2, -1), keepdim=True), values.amax((-2, -1), keepdim=True)
    return torch.where(high > low, (values - low) / torch.where(high > low, high - low, 1.0), values)


def equalize(values: Tensor, _level: Tensor) -> Tensor:
    """Each channel's 256 shades made as frequent as one another, as Pillow does."""
    shades = (values.clamp(0, 1) * 255).round_().long().flatten(-2)
    counts = torch.zeros(*shades.shape[:-1], SHADES, dtype=torch.int32, device=values.device)
    counts.scatter_add_(-1, shades, torch.ones_like(shades, dtype=torch.int32))
    brightest = counts.gather(-1, shades.amax(-1, keepdim=True))
    step = (shades.shape[-1] - brightest).div(255, rounding_mode="floor")
    below = counts.cumsum(-1, dtype=torch.int32) - counts
    table = (below + step.div(2, rounding_mode="floor")).div(step.clamp(min=1), rounding_mode="floor")
    found = (table.clamp(max=255).float() / 255).gather(-1, shades).view(values.shape)
    return torch.where((step > 0).unsqueeze(-1), found, values)


TONES: dict[str, Tone] = {
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
}
"""Operations that change each pixel's brightness by a rule."""
PLACES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
"""Those that move pixels: shears up to a slope of 0.3, shifts up to 150/331 of a side, turns up to 30°."""
OPERATIONS = ("identity", *PLACES, *WITHOUT, *TONES)
"""All, each drawn as often as the others."""


def randaugment(pictures: Tensor, asked: Asked) -> Tensor:
    """Apply as many operations, one after another, as a member asks for."""
    assert asked.shades is not None, "some member changes colors"
    wanted, level = asked.settings["randaugment"], asked.settings["randaugment_magnitude"] / LEVELS
    for number in range(asked.operations):
        # Each in a stream of its own: what a member draws does not depend on how many operations others ask for.
        drawn, side = asked.uniform(2, f"randaugment.{number}").unbind(-1)
        operation = (drawn * len(OPERATIONS)).long().clamp(max=len(OPERATIONS) - 1)
        operation = torch.where(number < wanted, operation, OPERATIONS.index("identity"))
        pictures = operated(pictures, operation, level, torch.where(side < 0.5, -1.0, 1.0), asked)
    return pictures


def operated(pictures: Tensor, operation: Tensor, level: Tensor, sign: Tensor, asked: Asked) -> Tensor:
    """Apply one operation to each picture.

    Args:
        pictures: (1 or N, n, C, H, W).
        operation: Which of OPERATIONS, int64 (1 or N, n).
        level: The magnitude, from 0 to 1, (1 or N, 1).
        sign: Which way, −1 or 1, (1 or N, n).
        asked: Tells how bright a pixel is.
    """
    assert asked.shades is not None, "some member changes colors"
    moves = (operation > 0) & (operation <= len(PLACES))
    pictures = torch.where(of_pictures(moves), _placed(pictures, operation, level * sign), pictures)
    values = asked.shades.values(pictures)
    without, changed = values, values
    for name, function in WITHOUT.items():
        without = _where(operation, name, function(values), without)
    for name, tone in TONES.items():
        changed = _where(operation, name, tone(values, level), changed)
    blends = (operation > len(PLACES)) & (operation <= len(PLACES) + len(WITHOUT))
    found = torch.where(of_pictures(blends), blended(values, without, 1 + 0.9 * level * sign), changed)
    return torch.where(of_pictures(operation > len(PLACES)), asked.shades.inputs(found), pictures)


def _where(operation: Tensor, name: str, changed: Tensor, others: Tensor) -> Tensor:
    """What is changed, where that is the operation of a name."""
    return torch.where(of_pictures(operation == OPERATIONS.index(name)), changed, others)


def _placed(pictures: Tensor, operation: Tensor, amount: Tensor) -> Tensor:
    """Pictures that move by an amount from −1 to 1 of the most, where their operation says so."""

    def of(name: str) -> Tensor:
        chosen = operation == OPERATIONS.index(name)
        return torch.where(chosen, amount, 0.0)[..., None, None]

    height, width = pictures.shape[-2:]
    x, y = pixel_centers(pictures)
    angle = of("rotate") * radians(30)
    from_x = (
        x * angle.cos() + y * angle.sin() + 0.3 * of("shear_x") * y - of("translate_x") * (150 / 331 * width)
    )
    from_y = (
        y * angle.cos() - x * angle.sin() + 0.3 * of("shear_y") * x - of("translate_y") * (150 / 331 * height)
    )
    return sampled(pictures, from_x, from_y)
