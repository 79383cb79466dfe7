"""What goes to a device at once, and comes back: the same to the bit, in one copy each way."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from pretend_device import CPU, GPU, PretendDevice

from raydnn.training.crossing import to_device, to_host

TENSORS = [
    torch.tensor([[1.0, nan, -0.0], [1e-310, inf, 0.1]], dtype=torch.float64).T,
    torch.arange(7, dtype=torch.int64) - 2**62,
    torch.empty(0, 3, dtype=torch.float64),
    torch.tensor(0.3, dtype=torch.float64),
]


def test_what_goes_to_a_device_is_the_same_to_the_bit_in_one_copy() -> None:
    device = PretendDevice()
    with device:
        moved = to_device(TENSORS, GPU)
        assert device.crossings.total() == 1
        assert all(tensor.device == GPU for tensor in moved)
        again = [tensor.cpu() for tensor in moved]
    for found, expected in zip(again, TENSORS, strict=True):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert torch.equal(found.view(torch.int64), expected.contiguous().view(torch.int64))


def test_on_the_host_nothing_is_copied() -> None:
    assert all(one is other for one, other in zip(to_device(TENSORS, CPU), TENSORS, strict=True))


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.float32), (torch.float32, torch.float64)])
def test_columns_come_back_in_one_copy(dtypes: tuple[torch.dtype, torch.dtype]) -> None:
    columns = {
        name: torch.tensor([0.1, -inf, 3.0], dtype=dtype)
        for name, dtype in zip(("one", "other"), dtypes, strict=True)
    }
    expected = {name: column.tolist() for name, column in columns.items()}
    device = PretendDevice()
    with device:
        there = {name: column.to(GPU) for name, column in columns.items()}
        device.crossings.clear()
        assert to_host(there) == expected
        assert device.crossings.total() == 1
