"""Augmentation of training examples: every field is one technique, off by default."""

from __future__ import annotations

from raydnn.spec.base import Spec, parameter

OF_PAIRS = ("mixup", "cutmix")
"""Techniques that make one example of two."""

OF_COLORS = ("randaugment", "color_jitter")
"""Techniques that change how bright pixels are."""

HOW_RANDAUGMENT = frozenset({"randaugment_magnitude"})
"""Fields that say how RandAugment acts, not whether."""


class Augmentation(Spec):
    """Changes to each training image, (H, W) or (C, H, W), drawn anew every epoch, in this order; uncovered is 0.

    All channels of an image are moved and covered alike. A pixel at p from its center moves to f·R(θ)·S(κ)·p, R a
    rotation and S = [[1, −tan κ], [0, 1]] a shear, as in torchvision's RandomAffine; values between pixels are
    bilinear. What changes colors sees them from 0, the darkest pixel of the training data, to 1, the brightest,
    whatever `data.scaling` is. `mixup` is not only for images.
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
    randaugment: int = parameter(
        0,
        "operations that each image draws from 14 (RandAugment, Cubuk et al. 2020, arXiv:1909.13719): identity, "
        "shear_x, shear_y, translate_x, translate_y, rotate, brightness, color, contrast, sharpness, posterize, "
        "solarize, autocontrast, equalize",
        ge=0,
        le=10,
        search="randint(0, 4)",
    )
    randaugment_magnitude: int = parameter(
        9,
        "how much each of them does, of 30: shear 0.3, translate 150/331 of a side, rotate 30°, factors 1 ± 0.9, "
        "4 bits of 8 less, all solarized",
        ge=0,
        le=30,
        search="randint(3, 16)",
    )
    color_jitter: float = parameter(
        0.0,
        "strength s of changes of brightness, contrast and, with three channels (red, green, blue), saturation, each "
        "by a factor drawn from U(1 − s, 1 + s), in this order",
        ge=0,
        le=1,
        search="uniform(0, 0.5)",
    )
    noise: float = parameter(
        0.0, "deviation of normal noise added to each pixel, after scaling", ge=0, search="uniform(0, 0.2)"
    )
    cutout: int = parameter(
        0, "side in pixels of a square set to 0, its center drawn anywhere", ge=0, search="randint(0, 9)"
    )
    random_erasing: float = parameter(
        0.0,
        "probability of setting a rectangle to 0, of 0.02 to 0.33 of the area, its height 0.3 to 3.3 times its width, "
        "drawn evenly on a log scale, inside the image (Zhong et al. 2020, arXiv:1708.04896)",
        ge=0,
        le=1,
        search="choice(0.0, 0.25, 0.5)",
    )
    mixup: float = parameter(
        0.0,
        "α of mixup, for inputs of any shape: λx + (1 − λ)x′ with another example x′ of the batch, and so the losses "
        "of their targets; λ ≥ ½ from Beta(α, α), one a batch (Zhang et al. 2018, arXiv:1710.09412)",
        ge=0,
        search="uniform(0, 0.4)",
    )
    cutmix: float = parameter(
        0.0,
        "α of CutMix: a rectangle of another example x′ of the batch is pasted into x, at the same place, of 1 − λ of "
        "the area, λ from Beta(α, α), one a batch, and cut at the border; their losses have the shares of their areas. "
        "Beside mixup each batch has one of the two, drawn evenly (Yun et al. 2019, arXiv:1905.04899)",
        ge=0,
        search="uniform(0, 1)",
    )

    @property
    def techniques(self) -> tuple[str, ...]:
        """Those that are on, in the order in which they act."""
        return tuple(name for name, value in self if value and name not in HOW_RANDAUGMENT)

    @property
    def changes_images(self) -> bool:
        """Whether it changes images; mixup takes inputs of any shape."""
        return any(name != "mixup" for name in self.techniques)

    @property
    def changes_colors(self) -> bool:
        """Whether it has to know how bright pixels are."""
        return any(name in OF_COLORS for name in self.techniques)

    @property
    def mixes(self) -> bool:
        """Whether it makes one example of two."""
        return any(name in OF_PAIRS for name in self.techniques)
