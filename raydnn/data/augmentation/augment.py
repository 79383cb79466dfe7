"""Augmentation of a stack's batches, on the device, each member by its own settings and seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from raydnn.data.augmentation.colors import color_jitter
from raydnn.data.augmentation.covering import cutout, noise, random_erasing
from raydnn.data.augmentation.placing import TRANSFORMS, flip, shift_by, transform
from raydnn.data.augmentation.randaugment import SHADES, randaugment
from raydnn.data.augmentation.shades import Shades
from raydnn.data.augmentation.technique import Asked, Draws, Technique
from raydnn.data.inputs import Inputs
from raydnn.errors import job_error
from raydnn.spec.axes.augmentation import HOW_RANDAUGMENT, Augmentation
from raydnn.spec.train import Train

TECHNIQUES: dict[tuple[str, ...], Technique] = {
    ("flip",): flip,
    TRANSFORMS: transform,
    ("crop",): shift_by("crop"),
    ("translate",): shift_by("translate"),
    ("randaugment",): randaugment,
    ("color_jitter",): color_jitter,
    ("noise",): noise,
    ("cutout",): cutout,
    ("random_erasing",): random_erasing,
}
"""Fields of the spec that a function serves → the function, in the order in which they act."""

HELD = 7
"""Copies of an image that a technique holds at most, places counted as two."""
HELD_OF_ALL = 12
"""Those of RandAugment, which computes all its operations."""


class Augmenter:
    """The changes to single images of N members."""

    def __init__(
        self,
        specs: Sequence[Augmentation],
        device: torch.device,
        shades: Callable[[], Shades] | None = None,
    ) -> None:
        """Lay the settings out as vectors.

        Args:
            specs: One a member.
            device: Where the batches are.
            shades: Tells how bright pixels are, asked where a member changes colors.
        """
        given = {name for spec in specs for name in spec.techniques}
        fields = given | (HOW_RANDAUGMENT if "randaugment" in given else set())
        self._settings = {
            name: _column([getattr(spec, name) for spec in specs], device)
            for name in Augmentation.model_fields
            if name in fields
        }
        self._techniques = [own for names, own in TECHNIQUES.items() if given.intersection(names)]
        self._operations = max(spec.randaugment for spec in specs)
        self._shades = shades() if shades and any(spec.changes_colors for spec in specs) else None

    def __call__(self, inputs: Tensor, draws: Draws, batch_size: int) -> Tensor:
        """Change the images of a batch.

        Args:
            inputs: (1, n, *shape), or (N, n, *shape) where the members see different examples; images are (H, W)
                or (C, H, W), and all channels of one are moved and covered alike.
            draws: Where the randomness comes from.
            batch_size: Examples of the whole batch, over all workers.

        Returns:
            Like `inputs`; (N, n, *shape) where the members differ in settings or seeds.
        """
        if not self._techniques:
            return inputs
        shape = inputs.shape[2:]
        asked = Asked(self._settings, draws, batch_size, self._shades, self._operations)
        pictures = inputs.unsqueeze(2) if len(shape) == 2 else inputs
        for technique in self._techniques:
            pictures = technique(pictures, asked)
        return pictures.squeeze(2) if len(shape) == 2 else pictures


def check_images(train: Train, inputs: Inputs, *, taken_for: str = "") -> None:
    """Refuse to change or mirror single images where the inputs are none.

    Args:
        train: What is asked for.
        inputs: What the data are.
        taken_for: What they are to the network where that is a sequence, such as `tokens`.

    Raises:
        JobError: Images would be changed, and the inputs are no images (H, W) or (C, H, W).
    """
    spec = train.augmentation
    asked = [
        (f"augmentation.{name}", f"{getattr(spec, name):g}", "0")
        for name in spec.techniques
        if name != "mixup"
    ]
    if train.test_time_flips:
        asked.append(("test_time_flips", "true", "false"))
    for name, given, allowed in asked[:1]:
        if taken_for:
            message = f"{given} with {taken_for}, which are no images of height × width; allowed: {allowed}"
            raise job_error(f"train.{name}", message)
        if len(inputs.shape) not in (2, 3):
            message = "needs images of height × width, or of channels × height × width"
            field = name.partition(".")[0]
            raise job_error(f"train.{field}", f"{message}; the inputs are {inputs.told} numbers each")


def numbers_held(spec: Augmentation, shape: tuple[int, ...]) -> int:
    """Most numbers of 4 bytes that are held of an example while it is changed or mixed, beside itself.

    Args:
        spec: What is asked for.
        shape: That of one input.
    """
    features = prod(shape)
    held = HELD * features if spec.changes_images else 0
    if "randaugment" in spec.techniques:
        # A table of the shades of each channel, and what is computed from it.
        held = HELD_OF_ALL * features + 4 * SHADES * prod(shape[:-2])
    return held + 3 * features * spec.mixes


def _column(values: Sequence[float], device: torch.device) -> Tensor:
    """A setting beside the examples: (1, 1) where all members have the same, else (N, 1)."""
    own = values[:1] if len(set(values)) == 1 else values
    return torch.tensor(own, device=device).unsqueeze(1)
