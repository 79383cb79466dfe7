"""Colors as Pillow changes them, in 8 bits, and whatever the inputs are scaled to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageEnhance
from torch import Tensor

from raydnn.data.augmentation.augment import Augmenter
from raydnn.data.augmentation.colors import WITHOUT, blended
from raydnn.data.augmentation.shades import shades_of
from raydnn.data.in_memory import InMemory
from raydnn.data.scaling import fit
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.spec.catalogue.kinds import components
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")

AS_PILLOW = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "color": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("name", WITHOUT)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.9])
@pytest.mark.parametrize("channels", [1, 3])
def test_colors_change_as_in_pillow(
    pixels: np.ndarray, in_pillow: Any, name: str, factor: float, channels: int
) -> None:
    pixels = pixels[:, :channels]
    expected = in_pillow(pixels, lambda image: AS_PILLOW[name](image).enhance(factor))
    values = torch.from_numpy(pixels).float().unsqueeze(0) / 255
    found = blended(values, WITHOUT[name](values), torch.full((1, 6), factor))[0] * 255
    # Pillow rounds the mean, or each step, to whole numbers.
    np.testing.assert_allclose(found, expected, atol=1 + factor)


def scaled(name: str, pixels: Tensor, **fields: Any) -> tuple[Tensor, Any]:
    state = fit(components("scaling")[name](name=name, **fields), pixels)  # type: ignore[arg-type]
    return state.apply(pixels), state


@pytest.mark.parametrize("shape", [(9, 7), (3, 9, 7)], ids=str)
@pytest.mark.parametrize("name", ["none", "unit", "minmax", "center", "standardize", "standardize channel"])
def test_colors_are_those_of_the_pixels_before_they_were_scaled(
    pixels: np.ndarray, name: str, shape: tuple[int, ...]
) -> None:
    raw = torch.from_numpy(pixels if len(shape) == 3 else pixels[:, 0]).float()
    raw.view(-1)[:2] = torch.tensor([0.0, 255.0])
    name, *per = name.split()
    inputs, state = scaled(name, raw, **({"per": "channel"} if per else {}))
    shades = shades_of(InMemory(inputs, None), state)
    augment = Augmenter([Augmentation(color_jitter=0.8)], CPU, lambda: shades)
    found = state.undone(augment(inputs.unsqueeze(0), Noise([3], 1, CPU), 6)[0])
    values = raw.view(1, 6, -1, 9, 7) / 255
    factors = 1 + (2 * Noise([3], 1, CPU).uniform(6, 3, "color_jitter") - 1) * 0.8
    for name, factor in zip(("brightness", "contrast", "color"), factors.unbind(-1), strict=True):
        values = blended(values, WITHOUT[name](values), factor)
    # Pixels that are the same in all pictures are 0 when they are standardized.
    torch.testing.assert_close(found, values[0].view(raw.shape) * 255, atol=0.01, rtol=0)
    assert (found - raw).abs().max() > 20


def test_one_shade_is_no_trouble() -> None:
    inputs = torch.full((4, 3, 3, 3), 7.0)
    shades = shades_of(InMemory(inputs, None), scaled("none", inputs)[1])
    assert shades.values(inputs.unsqueeze(0)).equal(torch.zeros(1, 4, 3, 3, 3))
    augment = Augmenter([Augmentation(color_jitter=1, randaugment=2)], CPU, lambda: shades)
    assert augment(inputs.unsqueeze(0), Noise([3], 1, CPU), 4).isfinite().all()
