"""Seeded noise for a training step, the same for a member whoever shares its stack or its batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raydnn.data.random import generator


class Noise:
    """Uniform draws of one epoch, keyed by each member's seed; members with equal seeds get equal draws.

    With several data-parallel workers every worker draws for the whole batch and takes its own rows,
    so that the number of workers changes nothing.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        epoch: int,
        device: torch.device,
        rank: int = 0,
        workers: int = 1,
    ) -> None:
        """Start an epoch's draws.

        Args:
            seeds: One seed a member.
            epoch: Absolute epoch, from 1.
            device: Where the draws are made.
            rank: This worker's number.
            workers: Number of data-parallel workers.
        """
        distinct = sorted(set(seeds))
        self._generators = [generator("noise", seed, epoch, device=device.type) for seed in distinct]
        self._member = None
        if len(distinct) > 1:
            positions = [distinct.index(seed) for seed in seeds]
            self._member = torch.tensor(positions, device=device)
        self._device = device
        self._rank = rank
        self._workers = workers

    def uniform(self, batch_size: int, width: int) -> Tensor:
        """Draw U[0, 1).

        Args:
            batch_size: Examples of the whole batch, over all workers.
            width: Draws an example.

        Returns:
            (1 or N, examples of this worker, width).
        """
        draws = torch.stack(
            [torch.rand(batch_size, width, generator=g, device=self._device) for g in self._generators]
        )
        draws = draws[:, self._rank :: self._workers]
        return draws if self._member is None else draws[self._member]
