from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from raydnn.data.batches import order


@given(st.integers(0, 2**63), st.integers(1, 10_000), st.integers(0, 300))
def test_an_order_is_a_permutation_and_the_same_every_time(seed: int, epoch: int, n: int) -> None:
    permutation = order(seed, epoch, n)
    assert permutation.dtype == torch.int64
    assert sorted(permutation.tolist()) == list(range(n))
    assert order(seed, epoch, n).equal(permutation)


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = {tuple(order(seed, epoch, 50).tolist()) for seed in range(10) for epoch in range(1, 11)}
    assert len(orders) == 100


def test_every_example_is_first_about_equally_often() -> None:
    first = torch.tensor([int(order(0, epoch, 10)[0]) for epoch in range(1, 2001)])
    counts = torch.bincount(first, minlength=10)
    assert ((counts - 200).abs() < 70).all()  # 5 standard deviations
