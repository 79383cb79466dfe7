"""The data-parallel workers of one training, as the loop sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Workers:
    """This process's number among the workers that share every batch; one worker needs no process group."""

    rank: int = 0
    count: int = 1

    def sum(self, values: Tensor) -> Tensor:
        """Add `values` over all workers, in place."""
        if self.count > 1:
            torch.distributed.all_reduce(values)
        return values
