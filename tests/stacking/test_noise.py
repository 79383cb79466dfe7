"""Noise: uniform, seeded, and the same for a member whoever shares its stack or its batch."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")


def _draws(seeds: list[int], epoch: int = 1, rank: int = 0, workers: int = 1) -> list[torch.Tensor]:
    noise = Noise(seeds, epoch, CPU, rank, workers)
    return [noise.uniform(size, width).expand(len(seeds), -1, -1) for size, width in ((7, 5), (7, 3), (4, 5))]


def test_draws_are_uniform() -> None:
    draws = Noise([3], 1, CPU).uniform(500, 100)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws.flatten().numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("company", [[4], [4, 4, 4], [9, 4], [4, 1, 9, 1], [1, 2, 3, 4]], ids=str)
def test_a_seeds_draws_do_not_depend_on_the_company(company: list[int]) -> None:
    alone = _draws([4])
    together = _draws(company)
    for expected, found in zip(alone, together, strict=True):
        for member, seed in enumerate(company):
            assert torch.equal(found[member], expected[0]) == (seed == 4)


def test_epochs_steps_and_layers_draw_anew() -> None:
    first, second, _ = _draws([4])
    again, *_ = _draws([4], epoch=2)
    assert not torch.equal(first, again)
    assert not torch.equal(first[..., :3], second)


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_workers_share_out_the_draws_of_the_whole_batch(workers: int) -> None:
    whole = _draws([1, 2])
    shares = [_draws([1, 2], rank=rank, workers=workers) for rank in range(workers)]
    for draw, expected in enumerate(whole):
        found = torch.empty_like(expected)
        for rank in range(workers):
            found[:, rank::workers] = shares[rank][draw]
        assert torch.equal(found, expected)
