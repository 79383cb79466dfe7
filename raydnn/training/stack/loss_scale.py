"""Loss scaling, for gradients in float16: each member's losses are multiplied, so that no small gradient becomes 0.

S ← S/2 where a gradient is not finite, and the member does without this step; S ← 2S after 2000 steps in a row that
are (Micikevicius et al. 2018, arXiv:1710.03740; torch.amp.GradScaler). Every member has a scale and steps of its own.
"""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor

FIRST_SCALE = 2.0**16
GROWTH, BACKOFF, INTERVAL = 2.0, 0.5, 2000
"""As torch.amp.GradScaler has them."""


class LossScale:
    """The scales S (N, 1) of N members."""

    def __init__(self, members: int, device: torch.device) -> None:
        """Begin with torch's first scale."""
        self.scales = torch.full((members, 1), FIRST_SCALE, device=device)
        self.streaks = torch.zeros_like(self.scales)
        """Steps (N, 1) in a row whose gradients were finite, since the scale changed."""
        self._overflown = torch.zeros(members, 1, dtype=torch.bool, device=device)

    def of(self, scale: Tensor) -> Tensor:
        """Multiply a step's factors (N, 1, 1) by the members' scales."""
        return scale * self.scales.unsqueeze(2)

    def unscale(self, gradients: Tensor) -> None:
        """Divide gradients (N, P) by the members' scales, in place, and note whose are not finite."""
        gradients.div_(self.scales)
        self._overflown.copy_(gradients.isfinite().all(dim=1, keepdim=True).logical_not())

    def move(self) -> list[slice]:
        """Move the scales by what was noted.

        Returns:
            The members that do without the step, ascending slices of neighbours; asking for them waits for the device.
        """
        bad = self._overflown
        self.streaks.add_(1).masked_fill_(bad, 0.0)
        grows = self.streaks == INTERVAL
        grown = torch.where(grows, self.scales * GROWTH, self.scales)
        self.scales.copy_(
            torch.where(bad, self.scales * BACKOFF, torch.where(grown.isfinite(), grown, self.scales))
        )
        self.streaks.masked_fill_(grows, 0.0)
        found, start = [], 0
        for without, group in groupby(bad.flatten().tolist()):
            stop = start + len(list(group))
            if without:
                found.append(slice(start, stop))
            start = stop
        return found

    def keep(self, rows: Tensor) -> None:
        """Drop all members but those at the ascending positions `rows`."""
        self.scales, self.streaks, self._overflown = (
            self.scales[rows],
            self.streaks[rows],
            self._overflown[rows],
        )

    def state_tensors(self) -> dict[str, Tensor]:
        """What changes in training, by name, as it is saved."""
        return {"loss_scale": self.scales, "loss_scale_streak": self.streaks}
