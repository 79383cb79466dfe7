"""Adam and AdamW on a CPU by torch's fused kernels, which pass over a member's row once instead of ten times.

A kernel takes one set of hyperparameters, so the members are updated one after the other, each the same as alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from raydnn.optim.optimizers.step import Coefficients, Horizon, State, Step

_NAMES = ("lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad", "decay_bias")


def fused_coefficients(plan: Horizon) -> Coefficients:
    """The number of the step, by which the kernels correct the moments' bias, and the hyperparameters themselves.

    These lie side by side, (S, n, 7), so that a step takes them out of the tensor at once.
    """
    never = torch.zeros_like(plan["decay_bias"])
    own = [plan.lr, *(plan.hyper.get(name, never) for name in _NAMES[1:])]
    side_by_side = torch.cat([column.double().expand_as(plan.number) for column in own], dim=-1)
    return {"hyper": side_by_side, "number": plan.number.float()}


def fused_adam(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """`adam`, with torch.optim.Adam's kernel (`fused=True`)."""

    def decay(p: Tensor, g: Tensor, spared: Tensor, _lr: float, weight_decay: float) -> None:
        g.addcmul_(p, torch.where(spared, 0.0, weight_decay))

    _each_row(torch._fused_adam_, decay, parameters, gradients, state, step)


def fused_adamw(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """`adamw`, with torch.optim.AdamW's kernel (`fused=True`)."""

    def decay(p: Tensor, _g: Tensor, spared: Tensor, lr: float, weight_decay: float) -> None:
        p.mul_(torch.where(spared, 1.0, 1 - lr * weight_decay))

    _each_row(torch._fused_adamw_, decay, parameters, gradients, state, step)


def _each_row(
    kernel: Callable[..., Any],
    decay: Callable[[Tensor, Tensor, Tensor, float, float], None],
    parameters: Tensor,
    gradients: Tensor,
    state: State,
    step: Step,
) -> None:
    """Update the members one after the other.

    Args:
        kernel: Takes the step, and decays all of a row's parameters.
        decay: Decays a row but for the parameters that are spared, where a member spares some.
        parameters: (n, P).
        gradients: (n, P).
        state: The moments (n, P).
        step: The step.
    """
    rows = zip(
        parameters.unbind(),
        gradients.unbind(),
        state["mean"].unbind(),
        state["square"].unbind(),
        step["number"].unbind(),
        step["hyper"].tolist(),
        strict=True,
    )
    for i, (p, g, mean, square, number, hyper) in enumerate(rows):
        lr, beta1, beta2, eps, weight_decay, amsgrad, biases = hyper
        if weight_decay and not biases and step.decayed is not None:
            decay(p, g, ~step.decayed[i], lr, weight_decay)
            weight_decay = 0.0
        kernel(
            [p],
            [g],
            [mean],
            [square],
            [state["largest_square"][i]] if amsgrad else [],
            [number],
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=weight_decay,
            eps=eps,
            amsgrad=bool(amsgrad),
            maximize=False,
        )
