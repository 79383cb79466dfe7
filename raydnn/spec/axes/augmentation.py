"""Augmentation of training examples: every field is one technique, off by default."""

from __future__ import annotations

from raydnn.spec.base import Spec, parameter


class Augmentation(Spec):
    """Changes to each training image (H, W), drawn anew every epoch, in this order; what is uncovered is 0.

    A pixel at p from the image's center moves to f·R(θ)·S(κ)·p, R a rotation and S = [[1, −tan κ], [0, 1]] a shear,
    as in torchvision's RandomAffine; values between pixels are bilinear. `mixup` is not only for images.
    """

    flip: float = parameter(
        0.0, "probability of mirroring left and right", ge=0, le=1, search="choice(0.0, 0.5)"
    )
    rotate: float = parameter(
        0.0,
        "largest angle a in degrees of a rotation about the center, drawn from U(−a, a)",
        ge=0,
        le=180,
        search="uniform(0, 20)",
    )
    scale: float = parameter(
        0.0,
        "largest relative change s of the size about the center, by a factor drawn from U(1 − s, 1 + s)",
        ge=0,
        le=0.9,
        search="uniform(0, 0.2)",
    )
    shear: float = parameter(
        0.0,
        "largest angle a in degrees by which rows slide along one another, drawn from U(−a, a)",
        ge=0,
        lt=90,
        search="uniform(0, 15)",
    )
    crop: int = parameter(
        0,
        "pixels of 0 padded on every side before cropping back at a place drawn evenly (He et al. 2016): "
        "as `translate`, with draws of its own",
        ge=0,
        search="randint(0, 4)",
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
    mixup: float = parameter(
        0.0,
        "α of mixup, for inputs of any shape: λx + (1 − λ)x′ with another example x′ of the batch, and so the losses "
        "of their targets; λ ≥ ½ from Beta(α, α), one a batch (Zhang et al. 2018, arXiv:1710.09412)",
        ge=0,
        search="uniform(0, 0.4)",
    )

    @property
    def changes_images(self) -> bool:
        """Whether it changes single images; mixup takes inputs of any shape."""
        return any(value for name, value in self if name != "mixup")
