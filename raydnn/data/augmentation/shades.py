"""How bright a pixel is, whatever the inputs are scaled to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raydnn.data.examples import CHUNK, Examples
from raydnn.data.scaling import ScalingState


@dataclass(frozen=True)
class Shades:
    """Between what a network gets of a picture, and values from 0, the darkest of the training data, to 1."""

    factor: Tensor
    """Of pixels (C or 1, H or 1, W or 1), or (), as the scaling has it."""
    offset: Tensor

    def values(self, pictures: Tensor) -> Tensor:
        """The brightness of pixels (M, n, C, H, W)."""
        return pictures * self.factor + self.offset

    def inputs(self, values: Tensor) -> Tensor:
        """The pixels of that brightness."""
        return (values - self.offset) / self.factor


def shades_of(examples: Examples, scaling: ScalingState) -> Shades:
    """Find the darkest and the brightest pixel of the training examples.

    Args:
        examples: The training examples, pictures.
        scaling: What they went through; it has no matrix.
    """
    extremes = [torch.stack(scaling.undone(inputs).aminmax()) for inputs, _ in examples.chunks(CHUNK)]
    low, high = torch.stack(extremes)[:, 0].amin(), torch.stack(extremes)[:, 1].amax()
    span = torch.where(high > low, high - low, 1.0)
    scale, shift = (_of_channels(part.to(low)) for part in (scaling.scale, scaling.shift))
    return Shades((scale / span).float(), ((shift - low) / span).float())


def _of_channels(values: Tensor) -> Tensor:
    """Numbers of pixels (H, W) beside those of pictures with channels (C, H, W)."""
    return values.unsqueeze(0) if values.dim() == 2 else values
