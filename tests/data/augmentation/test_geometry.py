"""Moved images against SciPy, whole turns, and pixels counted by hand."""

from __future__ import annotations

from math import cos, radians, sin, tan

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from raydnn.data.augmentation.geometry import shifted, transformed

ONE = torch.ones(1, 1)
ZERO = torch.zeros(1, 1)
SQUARE = torch.from_numpy(np.random.default_rng(0).uniform(1, 2, (1, 1, 1, 5, 5)).astype(np.float32))


@pytest.mark.parametrize(("height", "width"), [(7, 7), (6, 9), (8, 3)])
@pytest.mark.parametrize(
    ("rotation", "factor", "shear"),
    [(30, 1, 0), (-100, 1, 0), (0, 1.5, 0), (0, 0.6, 0), (0, 1, 20), (0, 1, -50), (25, 1.2, -15)],
)
def test_transforms_are_scipys(height: int, width: int, rotation: float, factor: float, shear: float) -> None:
    image = np.random.default_rng(1).uniform(1, 2, (height, width))
    angle, slope = radians(rotation), tan(radians(shear))
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    forward = factor * turn @ np.array([[1, -slope], [0, 1]])
    # SciPy counts rows first, and maps the result's places to the image's.
    backward = np.linalg.inv(forward)[::-1, ::-1]
    center = (np.array(image.shape) - 1) / 2
    expected = affine_transform(image, backward, center - backward @ center, order=1, mode="grid-constant")
    images = torch.from_numpy(image).float()[None, None, None]
    found = transformed(images, ONE * rotation, ONE * factor, ONE * shear)
    np.testing.assert_allclose(found[0, 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("quarters", [-2, -1, 1, 2])
def test_quarter_turns_are_clockwise(quarters: int) -> None:
    found = transformed(SQUARE, ONE * 90 * quarters, ONE, ZERO)
    torch.testing.assert_close(found, SQUARE.rot90(-quarters, (3, 4)), atol=1e-5, rtol=0)


def test_twice_the_size_shows_the_middle() -> None:
    image = torch.arange(16.0).view(1, 1, 1, 4, 4)
    # Rows differ by 4 and columns by 1; half of that in twice the size.
    expected = torch.arange(4) / 2 + 2 * torch.arange(4).unsqueeze(1) + 3.75
    torch.testing.assert_close(transformed(image, ZERO, ONE * 2, ZERO)[0, 0, 0], expected)


def test_a_shear_of_45_degrees_moves_each_row_by_one_pixel_more() -> None:
    found = transformed(SQUARE, ZERO, ONE, ONE * 45)[0, 0, 0]
    expected = torch.zeros(5, 5)
    for row, right in enumerate((2, 1, 0, -1, -2)):
        for column in range(5):
            if 0 <= column - right < 5:
                expected[row, column] = SQUARE[0, 0, 0, row, column - right]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_images_and_members_spread_over_each_other() -> None:
    images = torch.rand(1, 7, 2, 5, 3)
    angles = torch.rand(3, 7) * 90
    together = transformed(images, angles, ONE, ZERO)
    own = transformed(images.expand(3, -1, -1, -1, -1), angles, ONE, ZERO)
    assert together.equal(own)
    for member in range(3):
        assert together[member].equal(transformed(images, angles[member : member + 1], ONE, ZERO)[0])
    assert shifted(images, angles.long() // 30, angles.long() // 45).shape == (3, 7, 2, 5, 3)


def test_no_images_are_no_trouble() -> None:
    none = torch.empty(1, 0)
    assert transformed(torch.empty(1, 0, 3, 5, 4), none, none, none).shape == (1, 0, 3, 5, 4)
