"""Activations: functions of the pre-activation z (n, B, H) of n members; parameters are shaped (n, 1, 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from raydnn.optim.runs import Run


def linear(z: Tensor) -> Tensor:
    """f(z) = z."""
    return z


def leaky_relu(z: Tensor, alpha: Tensor) -> Tensor:
    """f(z) = z for z > 0, else αz."""
    return torch.where(z > 0, z, alpha * z)


def elu(z: Tensor, alpha: Tensor) -> Tensor:
    """f(z) = z for z > 0, else α(e^z − 1); the exponential is only taken below zero, so nothing overflows."""
    return torch.where(z > 0, z, alpha * torch.expm1(z.clamp(max=0)))


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "linear": linear,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": functional.selu,
    "softplus": functional.softplus,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
}
"""Name → implementation; the names are those of raydnn.spec.activation."""


def activate(runs: Sequence[Run], z: Tensor) -> Tensor:
    """Apply to z (N, B, H) each run's activation."""
    parts = [
        ACTIVATIONS[run.name](
            run.of(z), **{name: vector.to(z.dtype).view(-1, 1, 1) for name, vector in run.vectors.items()}
        )
        for run in runs
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
