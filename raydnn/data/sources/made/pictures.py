"""Colour pictures of things and textures, in the shape of CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from raydnn.data.sources.raw import Arrays, Raw
from raydnn.spec.data import Pictures

Field = NDArray[np.float32]
"""A number for each position of each picture, (n, H, W)."""

CHUNK = 1000
"""Pictures made at once, so that what lies in memory meanwhile is small beside all of them."""


def _disc(across: Field, down: Field) -> Field:
    return np.float32(0.8) - np.hypot(across, down)


def _ring(across: Field, down: Field) -> Field:
    return np.float32(0.22) - np.abs(np.hypot(across, down) - np.float32(0.68))


def _cross(across: Field, down: Field) -> Field:
    thin, long = np.minimum(abs(across), abs(down)), np.maximum(abs(across), abs(down))
    inside: Field = np.minimum(np.float32(0.26) - thin, np.float32(0.9) - long)
    return inside


def _stripes(across: Field, down: Field) -> Field:
    return np.asarray(np.minimum(np.sin(7 * across) / 7, 1 - np.hypot(across, down)))


def _checks(across: Field, down: Field) -> Field:
    return np.asarray(np.minimum(np.sin(5 * across) * np.sin(5 * down) / 5, 1 - np.hypot(across, down)))


THINGS: tuple[Callable[[Field, Field], Field], ...] = (_disc, _ring, _cross, _stripes, _checks)
"""(across, down) from a thing's middle, in its own size and angle → how far inside a position lies, above 0."""
HUES = (0.08, 0.58)
"""Middle of the warm and of the cold colours, on a circle of 1: class k is thing k // 2 in colour k % 2."""
HUE_DEVIATION = 0.11
"""So that about one thing in forty has a colour nearer to the other one's."""


def make_pictures(spec: Pictures) -> Raw:
    """Return `spec.count` pictures (n, 3, size, size), whole numbers from 0 to 255, of ten classes, no test part."""
    rng = np.random.default_rng(spec.seed)
    classes = len(THINGS) * len(HUES)
    targets = rng.permutation(np.arange(spec.count) % classes)
    inputs = np.empty((spec.count, 3, spec.size, spec.size), np.float32)
    for start in range(0, spec.count, CHUNK):
        inputs[start : start + CHUNK] = _painted(spec, targets[start : start + CHUNK], rng)
    return Raw(Arrays(inputs, targets), None, classes, "classification", feature_types=("picture",))


def _painted(spec: Pictures, targets: NDArray[np.int64], rng: Generator) -> NDArray[np.float32]:
    """Pictures of these classes: a thing over a background that goes from one colour to another, and noise."""
    n = len(targets)
    inside = _inside(spec.size, targets // len(HUES), rng)
    # An edge is as soft as a pixel of a middling thing is wide.
    cover = np.clip(inside * np.float32(spec.size / 4) + np.float32(0.5), 0, 1)[:, None]
    hue = np.take(HUES, targets % len(HUES)) + rng.normal(0, HUE_DEVIATION, n)
    thing = _colours(hue, rng.uniform(0.3, 0.9, n), rng.uniform(0.4, 1.0, n))
    ends = [_colours(rng.random(n), rng.uniform(0, 0.5, n), rng.uniform(0.1, 0.9, n)) for _ in range(2)]
    slope = _turned(spec.size, rng.uniform(0, 2 * np.pi, n))[0][:, None] / 3 + np.float32(0.5)
    ground = ends[0] + (ends[1] - ends[0]) * slope
    painted = 255 * (ground + (thing - ground) * cover)
    painted += np.float32(spec.noise) * rng.standard_normal(painted.shape, np.float32)
    whole: Field = np.clip(np.rint(painted), 0, 255)
    return whole


def _inside(size: int, things: NDArray[np.int64], rng: Generator) -> Field:
    """How far inside its thing each position lies; place, size and angle are drawn."""
    n = len(things)
    across, down = _turned(size, rng.uniform(0, 2 * np.pi, n), rng.uniform(-0.35, 0.35, (2, n)))
    radius = rng.uniform(0.4, 0.8, n).astype(np.float32)[:, None, None]
    across, down = across / radius, down / radius
    found = np.empty_like(across)
    for number, thing in enumerate(THINGS):
        rows = np.flatnonzero(things == number)
        found[rows] = thing(across[rows], down[rows])
    return found


def _turned(
    size: int, angle: NDArray[np.float64], middle: NDArray[np.float64] | None = None
) -> tuple[Field, Field]:
    """Coordinates from −1 to 1 about `middle` (2, n), turned by `angle` (n,)."""
    steps = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    at = np.zeros((2, len(angle)), np.float32) if middle is None else middle.astype(np.float32)
    right, below = steps[None, None, :] - at[0, :, None, None], steps[None, :, None] - at[1, :, None, None]
    cos, sin = (f(angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    return cos * right + sin * below, cos * below - sin * right


def _colours(
    hue: NDArray[np.float64], saturation: NDArray[np.float64], value: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Red, green and blue (n, 3, 1, 1) of 0 to 1 for hues, saturations and values (n,)."""
    sector = np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    pure = np.clip(sector, 0, 1)
    found = value[:, None] * (1 - saturation[:, None] * (1 - pure))
    return np.asarray(found[:, :, None, None], np.float32)
