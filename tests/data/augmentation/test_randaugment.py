"""RandAugment: each operation as Pillow has it, all of them drawn, as many as asked for."""

from __future__ import annotations

from collections.abc import Callable
from math import atan, degrees
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import shift

from raydnn.data.augmentation.augment import Augmenter
from raydnn.data.augmentation.colors import WITHOUT
from raydnn.data.augmentation.geometry import transformed
from raydnn.data.augmentation.randaugment import OPERATIONS, PLACES, TONES, operated
from raydnn.data.augmentation.shades import Shades
from raydnn.data.augmentation.technique import Asked
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")
BYTES = Shades(torch.tensor(1 / 255), torch.tensor(0.0))
LARGE = np.random.default_rng(1).integers(200, size=(4, 3, 40, 30), dtype=np.uint8)
LARGE[0] //= 3


def operate(name: str, pixels: np.ndarray, level: float, sign: float) -> np.ndarray:
    pictures = torch.from_numpy(pixels).float().unsqueeze(0)
    chosen = torch.full((1, len(pixels)), OPERATIONS.index(name))
    asked = Asked({}, Noise([0], 1, CPU), len(pixels), BYTES, 1)
    found = operated(pictures, chosen, torch.tensor([[level]]), torch.full((1, len(pixels)), sign), asked)
    return found[0].numpy()


def enhanced(enhance: Any) -> Callable[[Image.Image, float, float], Image.Image]:
    return lambda image, level, sign: enhance(image).enhance(1 + 0.9 * level * sign)  # type: ignore[no-any-return]


AS_PILLOW: dict[str, Callable[[Image.Image, float, float], Image.Image]] = {
    "brightness": enhanced(ImageEnhance.Brightness),
    "color": enhanced(ImageEnhance.Color),
    "contrast": enhanced(ImageEnhance.Contrast),
    "sharpness": enhanced(ImageEnhance.Sharpness),
    "posterize": lambda image, level, _: ImageOps.posterize(image, 8 - round(4 * level)),
    "solarize": lambda image, level, _: ImageOps.solarize(image, int(np.ceil(255 * (1 - level)))),
    "autocontrast": lambda image, _, __: ImageOps.autocontrast(image),
    "equalize": lambda image, _, __: ImageOps.equalize(image),
}
EXACT = {"posterize", "solarize", "equalize"}


@pytest.mark.parametrize("name", AS_PILLOW)
@pytest.mark.parametrize(("level", "sign"), [(0.3, 1.0), (0.8, -1.0), (1.0, 1.0)])
def test_colors_change_as_in_pillow(
    pixels: np.ndarray, in_pillow: Any, name: str, level: float, sign: float
) -> None:
    for given in (LARGE, LARGE[:, :1], pixels):
        expected = in_pillow(given, lambda image: AS_PILLOW[name](image, level, sign))
        atol = 1e-3 if name in EXACT else 3
        np.testing.assert_allclose(operate(name, given, level, sign), expected, atol=atol)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_pixels_move_as_they_do_elsewhere(sign: float) -> None:
    pictures = torch.from_numpy(LARGE).float().unsqueeze(0)
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    turned = transformed(pictures, one * 15 * sign, one, zero)[0].numpy()
    np.testing.assert_allclose(operate("rotate", LARGE, 0.5, sign), turned, atol=1e-3)
    slanted = transformed(pictures, zero, one, one * degrees(atan(0.15)) * sign)[0].numpy()
    np.testing.assert_allclose(operate("shear_x", LARGE, 0.5, sign), slanted, atol=1e-3)
    turned_over = LARGE.transpose(0, 1, 3, 2)
    flat = operate("shear_x", np.ascontiguousarray(turned_over), 0.5, sign).transpose(0, 1, 3, 2)
    np.testing.assert_allclose(operate("shear_y", LARGE, 0.5, sign), flat, atol=1e-3)
    for name, axis, length in (("translate_y", 2, 40), ("translate_x", 3, 30)):
        by = np.eye(4)[axis] * sign * 0.5 * 150 / 331 * length
        expected = shift(LARGE.astype(float), by, order=1, mode="grid-constant")
        np.testing.assert_allclose(operate(name, LARGE, 0.5, sign), expected, atol=1e-2)


def test_the_identity_and_grey_pictures_without_color_keep_their_bits() -> None:
    assert (operate("identity", LARGE, 0.7, 1.0) == LARGE).all()
    np.testing.assert_allclose(operate("color", LARGE[:, :1], 0.7, 1.0), LARGE[:, :1], atol=1e-4)


def test_the_table_is_that_of_the_paper() -> None:
    assert len(OPERATIONS) == 14
    assert set(AS_PILLOW) == {*WITHOUT, *TONES}
    assert set(OPERATIONS) == {"identity", *PLACES, *WITHOUT, *TONES}


def test_each_image_draws_its_operations_evenly() -> None:
    pictures = torch.from_numpy(LARGE[:1]).float().expand(1, 2800, 3, 40, 30)[..., :8, :6]
    augment = Augmenter([Augmentation(randaugment=1, randaugment_magnitude=15)], CPU, lambda: BYTES)
    found = augment(pictures, Noise([4], 1, CPU), 2800)[0]
    counted = 0
    for name in OPERATIONS:
        for sign in (1.0, -1.0):
            small = np.ascontiguousarray(LARGE[:1, :, :8, :6])
            alike = (found - torch.from_numpy(operate(name, small, 0.5, sign))).abs().amax((1, 2, 3)) < 1e-3
            counted += int(alike.sum())
            if name in PLACES:
                assert 65 < int(alike.sum()) < 140, name
    assert counted >= 2800


def test_further_operations_change_what_the_first_have_changed() -> None:
    pictures = torch.from_numpy(LARGE).float().unsqueeze(0)

    def made(operations: int, magnitude: int) -> torch.Tensor:
        spec = Augmentation(randaugment=operations, randaugment_magnitude=magnitude)
        return Augmenter([spec], CPU, lambda: BYTES)(pictures, Noise([7], 1, CPU), 4)

    assert not made(1, 9).equal(made(2, 9))
    assert not made(2, 9).equal(made(2, 20))
    assert made(2, 9).shape == pictures.shape
