"""Augmentation of training images: every field is one technique, off by default."""

from __future__ import annotations

from raydnn.spec.base import Spec, parameter


class Augmentation(Spec):
    """Changes to each training image (H, W), drawn anew every epoch, in this order; what is uncovered is 0."""

    flip: float = parameter(
        0.0, "probability of mirroring left and right", ge=0, le=1, search="choice(0.0, 0.5)"
    )
    translate: int = parameter(
        0, "largest shift in pixels, drawn evenly, along each side", ge=0, search="randint(0, 4)"
    )
    noise: float = parameter(
        0.0, "deviation of normal noise added to each pixel, after scaling", ge=0, search="uniform(0, 0.2)"
    )
    cutout: int = parameter(
        0, "side in pixels of a square set to 0, its center drawn anywhere", ge=0, search="randint(0, 9)"
    )

    @property
    def active(self) -> bool:
        """Whether it changes anything."""
        return bool(self.flip or self.translate or self.noise or self.cutout)
