"""Activations: functions of the pre-activation z (n, B, *shape) of n members; parameters are shaped (n, 1, ...).

A parameter that is 1 in all of them is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from raydnn.nn.features import by_feature, uniform_of_shape
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.groups import MemberGroup, parts_of

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


def _elu_(z: Tensor, alpha: Tensor | None = None) -> Tensor:
    h = functional.elu_(z)
    return h if alpha is None else torch.where(h > 0, h, alpha * h, out=h)


def _elu_pull(dh: Tensor, h: Tensor, alpha: Tensor | None = None) -> Tensor:
    """dz = dh for z > 0, else (h + α)·dh."""
    if alpha is None:
        pulled: Tensor = _aten.elu_backward.grad_input(dh, 1, 1, 1, True, h, grad_input=dh)
        return pulled
    return torch.where(h > 0, dh, dh * (h + alpha), out=dh)


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
"""Name → implementation; the names are those of raydnn.spec.axes.activation."""


def activate(
    groups: Sequence[MemberGroup],
    z: Tensor,
    context: Context = EVALUATION,
    alpha: Tensor | None = None,
) -> Tensor:
    """Apply each group's activation.

    Args:
        groups: The members' activations.
        z: Pre-activations (N, B, *shape).
        context: Of the forward pass.
        alpha: The slopes (N, features) that `prelu` learned, where all members have it.

    Returns:
        f(z), (N, B, *shape).
    """
    shares: Tensor | float = 0.5
    if context.trains and any(group.name == "rrelu" for group in groups):
        shares = uniform_of_shape(context, z.shape[2:], "rrelu")
    parts = []
    for group, of_group in zip(groups, parts_of(groups, z), strict=True):
        parameters: dict[str, Tensor | float] = dict(group.columns(z, ones=False))
        if group.name == "prelu" and alpha is not None:
            parameters["alpha"] = by_feature(group.of(alpha), z)
        if group.name == "rrelu":
            parameters["share"] = (
                shares if isinstance(shares, float) or len(shares) == 1 else group.of(shares)
            )
        parts.append(ACTIVATIONS[group.name](of_group, **parameters))
    return _joined(parts)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class ByHand:
    """An activation whose derivative is written out, number by number; both work in place."""

    put: Callable[..., Tensor]
    """z → h = f(z), in the memory of z."""
    pull: Callable[..., Tensor]
    """(dh, kept) → dz = f'(z)·dh, in the memory of dh."""
    keeps_z: bool = False
    """Whether `pull` needs z, and not h."""


def _put(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An activation without an in-place form of its own."""
    return lambda z, **parameters: z.copy_(function(z, **parameters))


BY_HAND: dict[str, ByHand] = {
    "linear": ByHand(lambda z: z, lambda dh, _h: dh),
    "sigmoid": ByHand(torch.sigmoid_, lambda dh, h: _aten.sigmoid_backward.grad_input(dh, h, grad_input=dh)),
    "tanh": ByHand(torch.tanh_, lambda dh, h: _aten.tanh_backward.grad_input(dh, h, grad_input=dh)),
    "relu": ByHand(torch.relu_, lambda dh, h: _aten.threshold_backward.grad_input(dh, h, 0, grad_input=dh)),
    "leaky_relu": ByHand(
        _put(leaky_relu), lambda dh, z, alpha=1.0: torch.where(z > 0, dh, alpha * dh, out=dh), keeps_z=True
    ),
    "elu": ByHand(_elu_, _elu_pull),
    "selu": ByHand(
        torch.selu_,
        lambda dh, h: _aten.elu_backward.grad_input(dh, SELU_ALPHA, SELU_SCALE, 1, True, h, grad_input=dh),
    ),
    "softplus": ByHand(
        _put(functional.softplus),
        lambda dh, z: _aten.softplus_backward.grad_input(dh, z, 1, 20, grad_input=dh),
        keeps_z=True,
    ),
    "gelu": ByHand(
        _put(functional.gelu),
        lambda dh, z: _aten.gelu_backward.grad_input(dh, z, grad_input=dh),
        keeps_z=True,
    ),
    "silu": ByHand(
        partial(functional.silu, inplace=True),
        lambda dh, z: _aten.silu_backward.grad_input(dh, z, grad_input=dh),
        keeps_z=True,
    ),
    "mish": ByHand(
        partial(functional.mish, inplace=True),
        lambda dh, z: dh.copy_(_aten.mish_backward(dh, z)),
        keeps_z=True,
    ),
}
"""Those whose derivative is written out; the others are left to autograd."""


def activate_by_hand(groups: Sequence[MemberGroup], z: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Apply each group's activation in place, and keep what `pull_back` needs.

    Args:
        groups: The members' activations, all of them in `BY_HAND`.
        z: Pre-activations (N, ...), which become activations.

    Returns:
        The activations, and what each group keeps.

    Raises:
        KeyError: An activation's derivative is not written out.
    """
    kept = []
    for group, of_group in zip(groups, parts_of(groups, z), strict=True):
        by_hand = BY_HAND[group.name]
        kept.append(of_group.clone() if by_hand.keeps_z else of_group)
        by_hand.put(of_group, **group.columns(z, ones=False))
    return z, kept


def pull_back(groups: Sequence[MemberGroup], dh: Tensor, kept: Sequence[Tensor]) -> Tensor:
    """The gradient of pre-activations from that of the activations, in its memory; `kept`: of `activate_by_hand`."""
    for group, of_group, own in zip(groups, parts_of(groups, dh), kept, strict=True):
        BY_HAND[group.name].pull(of_group, own, **group.columns(dh, ones=False))
    return dh


def _joined(parts: list[Tensor]) -> Tensor:
    """The groups' parts as one tensor, which lies in memory as they do: example by example, or unit by unit."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].is_contiguous() or parts[0].dim() > 3:
        return torch.cat(parts)
    return torch.cat([part.mT for part in parts]).mT
