"""Which errors are those of lost workers and devices."""

from __future__ import annotations

import pytest
from torch import distributed

from raydnn.training.faults.machinery import is_of_machinery

GLOO = "[../third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:43234"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError(GLOO), True),
        (distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp"), True),
        (distributed.DistNetworkError("The client socket has timed out"), True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), True),
        (ConnectionResetError("peer"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("CUDA out of memory"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("no luck with gloo"), False),
    ],
)
def test_a_lost_worker_or_device_is_told_from_a_fault_of_the_training(
    error: Exception, expected: bool
) -> None:
    assert is_of_machinery(error) is expected
