"""Numbers that go to a device, or come back from it, all at once: host and device wait for each other at a crossing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def to_device(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Bring tensors of int64 or float64 to a device in one copy.

    Args:
        tensors: On the host.
        device: Where they are needed; on the host they stay what they are.
    """
    if device.type == "cpu":
        return list(tensors)
    # The same bits, whichever of the two they are of.
    crossing = torch.cat([tensor.contiguous().view(torch.int64).flatten() for tensor in tensors])
    crossing = crossing.to(device, non_blocking=True)
    parts = torch.split(crossing, [tensor.numel() for tensor in tensors])
    return [part.view(of.dtype).view(of.shape) for part, of in zip(parts, tensors, strict=True)]


def to_host(columns: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Bring columns (N,) of numbers to the host in one copy."""
    return dict(zip(columns, torch.stack(list(columns.values())).tolist(), strict=True))
