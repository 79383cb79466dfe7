"""What a technique of augmentation gets beside pictures: the members' settings, and draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

from raydnn.data.augmentation.shades import Shades


class Draws(Protocol):
    """Where the randomness comes from: a stream for each use, keyed by seed and epoch."""

    def uniform(self, batch_size: int, width: int, stream: str) -> Tensor:
        """Draw U[0, 1): (1 or N, examples of this worker, width)."""


@dataclass(frozen=True)
class Asked:
    """What the members ask for, and what a batch's pictures are changed by."""

    settings: Mapping[str, Tensor]
    """Those that some member has, by field: (1, 1) where all have the same, else (N, 1); of the others 0."""
    draws: Draws
    batch_size: int
    """Examples of the whole batch, over all workers."""
    shades: Shades | None
    """Between pixels and how bright they are; None where no member changes that."""
    operations: int
    """Of RandAugment, the most that a member asks for."""

    def uniform(self, width: int, stream: str) -> Tensor:
        """Draw U[0, 1): (1 or N, examples of this worker, width)."""
        return self.draws.uniform(self.batch_size, width, stream)

    def deviation(self, name: str) -> Tensor:
        """Draw U(−a, a), a the members' setting: (1 or N, n); zeros (1, 1) where no member has it."""
        if name not in self.settings:
            return torch.zeros(1, 1, device=next(iter(self.settings.values())).device)
        return (2 * self.uniform(1, name)[..., 0] - 1) * self.settings[name]

    def having(self, *names: str) -> Tensor:
        """Which members ask for one of some techniques, (1, 1) or (N, 1)."""
        return reduce(torch.logical_or, [self.settings[name] != 0 for name in names if name in self.settings])


Technique = Callable[[Tensor, Asked], Tensor]
"""Changes pictures (1 or N, n, C, H, W); those of members that do not ask for it stay what they are to the bit."""


def of_pictures(values: Tensor) -> Tensor:
    """Numbers of pictures (M, n) beside their pixels: (M, n, 1, 1, 1)."""
    return values[..., None, None, None]
