"""Augmentation of a stack's batches, on the device, each member by its own settings and seed."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Protocol

import torch
from torch import Tensor

from raydnn.errors import JobError, Problem
from raydnn.spec.augmentation import Augmentation


class Draws(Protocol):
    """Where the randomness comes from: a stream for each use, keyed by seed and epoch."""

    def uniform(self, batch_size: int, width: int, stream: str) -> Tensor:
        """Draw U[0, 1): (1 or N, examples of this worker, width)."""


class Augmenter:
    """The augmentations of N members."""

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
        self.active = any(spec.active for spec in specs)
        for spec in specs:
            check_images(spec, features)
        self._features = features
        own = specs[:1] if len(set(specs)) == 1 else specs
        self._settings = {
            # (1 or N, 1): beside the examples.
            name: torch.tensor([getattr(spec, name) for spec in own], device=device).unsqueeze(1)
            for name in Augmentation.model_fields
            if any(getattr(spec, name) for spec in own)
        }

    def __call__(self, inputs: Tensor, draws: Draws, batch_size: int) -> Tensor:
        """Change the images of a batch.

        Args:
            inputs: (n, H·W), or (N, n, H·W) where the members see different examples.
            draws: Where the randomness comes from.
            batch_size: Examples of the whole batch, over all workers.

        Returns:
            Like `inputs`; (N, n, H·W) where the members differ in settings or seeds.
        """
        if not self.active:
            return inputs
        rows = inputs if inputs.dim() == 3 else inputs.unsqueeze(0)
        images = rows.reshape(*rows.shape[:2], *self._features)
        height, width = self._features
        if "flip" in self._settings:
            mirrored = draws.uniform(batch_size, 1, "flip")[..., 0] < self._settings["flip"]
            images = torch.where(mirrored[..., None, None], images.flip(-1), images)
        if "translate" in self._settings:
            largest = self._settings["translate"].unsqueeze(2)
            drawn = draws.uniform(batch_size, 2, "translate") * (2 * largest + 1)
            # Rounding may bring a draw below 1 up to it.
            down, right = (drawn.long().clamp(max=2 * largest) - largest).unbind(-1)
            images = _shifted(_shifted(images, down).mT, right).mT
        if "noise" in self._settings:
            drawn = draws.uniform(batch_size, height * width, "pixels").clamp(min=2**-25)
            normal = torch.erfinv(2 * drawn - 1) * sqrt(2)
            deviation = self._settings["noise"].unsqueeze(2)
            pixels = deviation * normal
            images = images + pixels.reshape(*pixels.shape[:2], height, width)
        if "cutout" in self._settings:
            drawn = draws.uniform(batch_size, 2, "cutout")
            lines = _covered(drawn[..., 0], self._settings["cutout"], height)
            columns = _covered(drawn[..., 1], self._settings["cutout"], width)
            images = images.masked_fill(lines[..., :, None] & columns[..., None, :], 0.0)
        augmented = images.flatten(-2)
        return augmented[0] if len(augmented) == 1 and inputs.dim() == 2 else augmented


def check_images(spec: Augmentation, features: tuple[int, ...]) -> None:
    """Refuse to augment inputs that are no images (H, W).

    Raises:
        JobError: The augmentation is active and the inputs have another shape.
    """
    if spec.active and len(features) != 2:
        shape = " × ".join(map(str, features))
        message = f"needs images of height × width; the inputs are {shape} numbers each"
        raise JobError([Problem("", "train.augmentation", message)])


def _shifted(images: Tensor, by: Tensor) -> Tensor:
    """Move images (M, n, H, W) down by numbers of rows (M', n), M or M' being 1 or equal."""
    height, width = images.shape[-2:]
    source = torch.arange(height, device=images.device) - by.unsqueeze(-1)
    inside = (source >= 0) & (source < height)
    members = max(len(images), len(source))
    images = images.expand(members, -1, -1, -1)
    index = source.clamp(0, height - 1).unsqueeze(-1).expand(members, -1, -1, width)
    return torch.where(inside.unsqueeze(-1), images.gather(-2, index), 0.0)


def _covered(center: Tensor, side: Tensor, length: int) -> Tensor:
    """Which of `length` pixels a square around a center drawn from U[0, 1) covers: (M, n, length)."""
    first = (center * length).long().clamp(max=length - 1) - side // 2
    pixels = torch.arange(length, device=center.device)
    return (pixels >= first.unsqueeze(-1)) & (pixels < (first + side).unsqueeze(-1))
