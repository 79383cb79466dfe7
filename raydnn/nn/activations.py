"""Activations: functions of the pre-activation z (n, B, H) of n members; parameters are shaped (n, 1, 1).

A parameter that is 1 in all of them is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from raydnn.nn.noise import Noise
from raydnn.optim.runs import Run, parts_of

_aten = torch.ops.aten


def linear(z: Tensor) -> Tensor:
    """f(z) = z."""
    return z


def heaviside(z: Tensor) -> Tensor:
    """f(z) = 0 for z < 0, else 1; its gradient is 0 everywhere."""
    return (z >= 0).to(z.dtype)


def leaky_relu(z: Tensor, alpha: Tensor | float = 1.0) -> Tensor:
    """f(z) = z for z > 0, else αz."""
    return torch.where(z > 0, z, alpha * z)


def rrelu(
    z: Tensor, share: Tensor | float, lower: Tensor | float = 1.0, upper: Tensor | float = 1.0
) -> Tensor:
    """f(z) = z for z > 0, else az, a = lower + share·(upper − lower); the share is uniform noise, or 1/2."""
    return torch.where(z > 0, z, (lower + share * (upper - lower)) * z)


def elu(z: Tensor, alpha: Tensor | None = None) -> Tensor:
    """f(z) = z for z > 0, else α(e^z − 1); the exponential is only taken below zero, so nothing overflows."""
    h = functional.elu(z)
    return h if alpha is None else torch.where(z > 0, h, alpha * h)


def elu_pullback(dh: Tensor, z: Tensor, h: Tensor, alpha: Tensor | None = None) -> Tensor:
    """dz = dh for z > 0, else (h + α)·dh."""
    return (
        _aten.elu_backward(dh, 1, 1, 1, True, h)
        if alpha is None
        else torch.where(z > 0, dh, dh * (h + alpha))
    )


def softmax(z: Tensor) -> Tensor:
    """f(z)_k = e^(z_k) / Σ_j e^(z_j)."""
    return torch.softmax(z, dim=-1)


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "linear": linear,
    "heaviside": heaviside,
    "sign": torch.sign,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": leaky_relu,
    "rrelu": rrelu,
    "prelu": leaky_relu,
    "elu": elu,
    "selu": functional.selu,
    "softplus": functional.softplus,
    "softmax": softmax,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
}
"""Name → implementation; the names are those of raydnn.spec.activation."""


def activate(
    runs: Sequence[Run],
    z: Tensor,
    noise: Noise | None = None,
    batch_size: int = 0,
    alpha: Tensor | None = None,
) -> Tensor:
    """Apply each run's activation.

    Args:
        runs: The members' activations.
        z: Pre-activations (N, B, H).
        noise: The step's noise in training; None at evaluation.
        batch_size: Examples of the whole batch over all workers, needed with `noise`.
        alpha: The slopes (N, H) that `prelu` learned, where all members have it.

    Returns:
        f(z), (N, B, H).
    """
    shares: Tensor | float = 0.5
    if noise is not None and any(run.name == "rrelu" for run in runs):
        shares = noise.uniform(batch_size, z.shape[-1], "rrelu")
    parts = []
    for run, of_run in zip(runs, parts_of(runs, z), strict=True):
        parameters: dict[str, Tensor | float] = dict(_columns(run, z))
        if run.name == "prelu" and alpha is not None:
            parameters["alpha"] = run.of(alpha).unsqueeze(1)
        if run.name == "rrelu":
            parameters["share"] = shares if isinstance(shares, float) or len(shares) == 1 else run.of(shares)
        parts.append(ACTIVATIONS[run.name](of_run, **parameters))
    return _joined(parts)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

DERIVATIVES: dict[str, Callable[..., Tensor]] = {
    "linear": lambda dh, _z, _h: dh,
    "sigmoid": lambda dh, _z, h: _aten.sigmoid_backward(dh, h),
    "tanh": lambda dh, _z, h: _aten.tanh_backward(dh, h),
    "relu": lambda dh, _z, h: _aten.threshold_backward(dh, h, 0),
    "leaky_relu": lambda dh, z, _h, alpha=1.0: torch.where(z > 0, dh, alpha * dh),
    "elu": elu_pullback,
    "selu": lambda dh, _z, h: _aten.elu_backward(dh, SELU_ALPHA, SELU_SCALE, 1, True, h),
    "softplus": lambda dh, z, _h: _aten.softplus_backward(dh, z, 1, 20),
    "gelu": lambda dh, z, _h: _aten.gelu_backward(dh, z),
    "silu": lambda dh, z, _h: _aten.silu_backward(dh, z),
    "mish": lambda dh, z, _h: _aten.mish_backward(dh, z),
}
"""Activation → its pullback dz = f'(z)·dh from dh, z and h = f(z), number by number; others are left to autograd."""


def pull_back(runs: Sequence[Run], dh: Tensor, z: Tensor, h: Tensor) -> Tensor:
    """The gradient of pre-activations z from that of the activations h = f(z), of equal shapes.

    Raises:
        KeyError: An activation has no pullback in `DERIVATIVES`.
    """
    members = zip(runs, parts_of(runs, dh), parts_of(runs, z), parts_of(runs, h), strict=True)
    return _joined([DERIVATIVES[run.name](*tensors, **_columns(run, z)) for run, *tensors in members])


def _columns(run: Run, z: Tensor) -> dict[str, Tensor]:
    """A run's parameters, without those that are 1."""
    return {name: column for name, column in run.columns(z).items() if name not in run.ones}


def _joined(parts: list[Tensor]) -> Tensor:
    """The runs' parts as one tensor, which lies in memory as they do, unit by unit or example by example."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts) if parts[0].is_contiguous() else torch.cat([part.mT for part in parts]).mT
