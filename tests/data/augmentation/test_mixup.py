"""Mixup: shares as Beta is distributed, pairs of one batch, and nothing changed where nothing is mixed."""

from __future__ import annotations

from math import inf

import pytest
import torch
from scipy.stats import beta, kstest

from raydnn.data.augmentation.mixup import mixed, partners, shares

CPU = torch.device("cpu")


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_the_larger_side_of_beta(alpha: float) -> None:
    drawn = shares(alpha, 0, 1, 2000)
    assert drawn.shape == (2000,)
    # max(λ, 1 − λ) ≤ x where 1 − x ≤ λ ≤ x.
    law = beta(alpha, alpha)
    assert kstest(drawn.double(), lambda x: law.cdf(x) - law.cdf(1 - x)).pvalue > 0.01


@pytest.mark.parametrize("alpha", [1e-300, 1e300])
def test_extreme_settings_are_borne(alpha: float) -> None:
    drawn = shares(alpha, 0, 1, 100)
    assert ((drawn >= 0.5) & (drawn <= 1)).all()


def test_every_example_has_another_one_of_its_batch() -> None:
    rows = torch.stack([torch.randperm(9), torch.randperm(9)])
    found = partners(rows)
    assert found.sort().values.equal(rows.sort().values)
    assert (found != rows).all()
    assert found[0].equal(partners(rows[0]))


def test_whole_shares_keep_what_they_are_given() -> None:
    losses = torch.rand(2, 3, requires_grad=True)
    found = mixed(torch.tensor([[1.0], [0.75]]), losses, torch.tensor([[inf, 1, 2], [3, 4, 5.0]]))
    assert found[0].equal(losses[0])
    torch.testing.assert_close(found[1], losses[1] * 0.75 + torch.tensor([0.75, 1, 1.25]))
    (slopes,) = torch.autograd.grad(found.sum(), losses)
    assert slopes.equal(torch.tensor([[1.0] * 3, [0.75] * 3]))
