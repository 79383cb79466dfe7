"""The data-parallel workers of one training, as the loop sees them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn


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

    def delaying(self, shared: nn.Module, delayed: bool) -> AbstractContextManager[None]:
        """Keep gradients to this worker where they are `delayed`; the next that are not bring them along."""
        if delayed and isinstance(shared, nn.parallel.DistributedDataParallel):
            return shared.no_sync()
        return nullcontext()

    def share(self, module: nn.Module) -> nn.Module:
        """Wrap a module so that its gradients are averaged over the workers while the backward pass runs."""
        if self.count == 1:
            return module
        return nn.parallel.DistributedDataParallel(module, gradient_as_bucket_view=True)
