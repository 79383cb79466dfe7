"""Augmentation of a stack's batches, on the device, each member by its own settings and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from raydnn.data.augmentation.geometry import shifted, transformed
from raydnn.errors import job_error
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.stacking.noise import normal

TRANSFORMS = ("rotate", "scale", "shear")
"""The techniques that share one bilinear sampling."""


class Draws(Protocol):
    """Where the randomness comes from: a stream for each use, keyed by seed and epoch."""

    def uniform(self, batch_size: int, width: int, stream: str) -> Tensor:
        """Draw U[0, 1): (1 or N, examples of this worker, width)."""


class Augmenter:
    """The changes to single images of N members."""

    def __init__(
        self, specs: Sequence[Augmentation], features: tuple[int, ...], device: torch.device
    ) -> None:
        """Lay the settings out as vectors.

        Args:
            specs: One a member.
            features: Shape of one input.
            device: Where the batches are.

        Raises:
            JobError: A member augments inputs that are no images.
        """
        self.active = any(spec.changes_images for spec in specs)
        for spec in specs:
            check_images(spec, features)
        self._settings = {
            name: _column([getattr(spec, name) for spec in specs], device)
            for name in Augmentation.model_fields
            if any(getattr(spec, name) for spec in specs)
        }
        transforms = [any(getattr(spec, name) for name in TRANSFORMS) for spec in specs]
        self._transforms = _column(transforms, device) if any(transforms) else None

    def __call__(self, inputs: Tensor, draws: Draws, batch_size: int) -> Tensor:
        """Change the images of a batch.

        Args:
            inputs: (1, n, H, W), or (N, n, H, W) where the members see different examples.
            draws: Where the randomness comes from.
            batch_size: Examples of the whole batch, over all workers.

        Returns:
            Like `inputs`; (N, n, H, W) where the members differ in settings or seeds.
        """
        if not self.active:
            return inputs
        images = inputs
        height, width = images.shape[-2:]
        if "flip" in self._settings:
            mirrored = draws.uniform(batch_size, 1, "flip")[..., 0] < self._settings["flip"]
            images = torch.where(mirrored[..., None, None], images.flip(-1), images)
        if self._transforms is not None:
            rotation, change, shear = (self._deviation(name, draws, batch_size) for name in TRANSFORMS)
            moved = transformed(images, rotation, 1 + change, shear)
            # Members that transform nothing keep their pixels to the bit.
            images = torch.where(self._transforms[..., None, None], moved, images)
        for name in ("crop", "translate"):
            if name in self._settings:
                largest = self._settings[name].unsqueeze(2)
                drawn = draws.uniform(batch_size, 2, name) * (2 * largest + 1)
                # Rounding may bring a draw below 1 up to it.
                down, right = (drawn.long().clamp(max=2 * largest) - largest).unbind(-1)
                images = shifted(images, down, right)
        if "noise" in self._settings:
            deviation = self._settings["noise"].unsqueeze(2)
            pixels = deviation * normal(draws.uniform(batch_size, height * width, "pixels"))
            images = images + pixels.reshape(*pixels.shape[:2], height, width)
        if "cutout" in self._settings:
            drawn = draws.uniform(batch_size, 2, "cutout")
            lines = _covered(drawn[..., 0], self._settings["cutout"], height)
            columns = _covered(drawn[..., 1], self._settings["cutout"], width)
            images = images.masked_fill(lines[..., :, None] & columns[..., None, :], 0.0)
        return images

    def _deviation(self, name: str, draws: Draws, batch_size: int) -> Tensor:
        """Draw U(−a, a), a the members' setting: (1 or N, n); zeros (1, 1) where no member has it."""
        if name not in self._settings:
            return torch.zeros(1, 1, device=next(iter(self._settings.values())).device)
        return (2 * draws.uniform(batch_size, 1, name)[..., 0] - 1) * self._settings[name]


def check_images(spec: Augmentation, features: tuple[int, ...]) -> None:
    """Refuse to change single images where the inputs are no images (H, W).

    Raises:
        JobError: Images would be changed and the inputs have another shape.
    """
    if spec.changes_images and len(features) != 2:
        shape = " × ".join(map(str, features))
        message = f"needs images of height × width; the inputs are {shape} numbers each"
        raise job_error("train.augmentation", message)


def _column(values: Sequence[float], device: torch.device) -> Tensor:
    """A setting beside the examples: (1, 1) where all members have the same, else (N, 1)."""
    own = values[:1] if len(set(values)) == 1 else values
    return torch.tensor(own, device=device).unsqueeze(1)


def _covered(center: Tensor, side: Tensor, length: int) -> Tensor:
    """Which of `length` pixels a square around a center drawn from U[0, 1) covers: (M, n, length)."""
    first = (center * length).long().clamp(max=length - 1) - side // 2
    pixels = torch.arange(length, device=center.device)
    return (pixels >= first.unsqueeze(-1)) & (pixels < (first + side).unsqueeze(-1))
