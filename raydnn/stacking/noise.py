"""Seeded noise for a training step, the same for a member whoever shares its stack or its batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

from raydnn.stacking.random import generator, seed_of


class Noise:
    """Uniform draws of one epoch, keyed by each member's seed; members with equal seeds get equal draws.

    Each use has a stream of its own, so that what a member draws does not depend on what others in its stack use.

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
        self._of_members = list(seeds)
        self._seeds = sorted(set(seeds))
        self._epoch = epoch
        self._streams: dict[str, list[torch.Generator]] = {}
        self._own: dict[str, list[torch.Generator]] = {}
        self._member = None
        if len(self._seeds) > 1:
            positions = [self._seeds.index(seed) for seed in seeds]
            self._member = torch.tensor(positions, device=device)
        self._device = device
        self._rank = rank
        self.workers = workers

    @property
    def generators(self) -> list[torch.Generator]:
        """All that have been drawn from."""
        return [stream for kept in (self._streams, self._own) for own in kept.values() for stream in own]

    def begin(self, epoch: int) -> None:
        """Start another epoch's draws, with the generators that are there."""
        self._epoch = epoch
        for kept, keys_of in ((self._streams, self._keys), (self._own, self._own_keys)):
            for name, streams in kept.items():
                for stream, keys in zip(streams, keys_of(name), strict=True):
                    stream.manual_seed(seed_of(*keys))

    def _keys(self, stream: str) -> list[tuple[int | str, ...]]:
        """What the generators of a stream belong to, one a seed."""
        return [(stream, seed, self._epoch) for seed in self._seeds]

    def _own_keys(self, stream: str) -> list[tuple[int | str, ...]]:
        """What those of the members belong to."""
        return [(stream, seed, self._epoch, self._rank) for seed in self._of_members]

    def uniform(self, batch_size: int, width: int, stream: str = "noise") -> Tensor:
        """Draw U[0, 1).

        Args:
            batch_size: Examples of the whole batch, over all workers.
            width: Draws an example.
            stream: What the draws are for; dropout has the default one.

        Returns:
            (1 or N, examples of this worker, width).
        """
        if stream not in self._streams:
            self._streams[stream] = [
                generator(*keys, device=self._device.type) for keys in self._keys(stream)
            ]
        # Unit by unit, as a stack's activations lie in memory.
        rows = [
            torch.rand(width, batch_size, generator=g, device=self._device) for g in self._streams[stream]
        ]
        draws = (rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(rows)).mT
        draws = draws[:, self._rank :: self.workers]
        return draws if self._member is None else draws[self._member]

    def own(self, stream: str) -> list[torch.Generator]:
        """A generator for each member, for those that draw one after another; each worker has others."""
        if stream not in self._own:
            self._own[stream] = [
                generator(*keys, device=self._device.type) for keys in self._own_keys(stream)
            ]
        return self._own[stream]


def normal(uniform: Tensor) -> Tensor:
    """Draws of N(0, 1) from as many of U[0, 1), by the inverse of its distribution: √2 · erf⁻¹(2u − 1)."""
    return torch.erfinv(2 * uniform.clamp(min=2**-25) - 1) * sqrt(2)
