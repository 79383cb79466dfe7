"""Pillow, an independent way to change pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

InPillow = Callable[[np.ndarray, Callable[[Image.Image], Image.Image]], np.ndarray]


@pytest.fixture(scope="session")
def in_pillow() -> InPillow:
    """Pictures (n, C, H, W) of bytes, changed one by one."""

    def changed(pixels: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
        found = []
        for each in pixels:
            image = Image.fromarray(
                each[0] if len(each) == 1 else np.ascontiguousarray(each.transpose(1, 2, 0))
            )
            found.append(np.atleast_3d(np.asarray(change(image))).transpose(2, 0, 1))
        return np.stack(found)

    return changed


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Small pictures (6, 3, 9, 7) of bytes: one dark, one with little in it."""
    drawn = np.random.default_rng(0).integers(256, size=(6, 3, 9, 7), dtype=np.uint8)
    drawn[0] //= 2
    drawn[1, :, 2:, 2:] = 77
    return drawn
