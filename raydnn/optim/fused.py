"""Adam and AdamW on a CPU by torch's fused kernels, which pass over a member's row once instead of ten times.

A kernel takes one set of hyperparameters, so the members are updated one after the other, each the same as alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from raydnn.optim.step import Coefficients, Plan, State, Step

_NAMES = ("lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad", "decay_bias")


def fused_coefficients(plan: Plan) -> Coefficients:
    """The hyperparameters themselves and the number of the step: the kernels correct the moments' bias."""
    never = torch.zeros_like(plan["decay_bias"])
    own = {name: plan.hyper.get(name, never) for name in _NAMES if name != "lr"}
    return {"lr": plan.lr, **own, "number": plan.number.float()}


def fused_adam(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """`adam`, with torch.optim.Adam's kernel (`fused=True`)."""
    for row in _rows(parameters, gradients, state, step):
        if row.spares is not None:
            row.gradients.addcmul_(row.parameters, torch.where(row.spares, 0.0, row.decay))
        row.update(torch._fused_adam_)


def fused_adamw(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """`adamw`, with torch.optim.AdamW's kernel (`fused=True`)."""
    for row in _rows(parameters, gradients, state, step):
        if row.spares is not None:
            row.parameters.mul_(torch.where(row.spares, 1.0, 1 - row.lr * row.decay))
        row.update(torch._fused_adamw_)


@dataclass(frozen=True)
class _Row:
    """A member's part of a step."""

    parameters: Tensor
    gradients: Tensor
    buffers: tuple[list[Tensor], list[Tensor], list[Tensor]]
    """Mean, mean square, and with AMSGrad the largest mean square."""
    number: Tensor
    lr: float
    beta1: float
    beta2: float
    eps: float
    decay: float
    amsgrad: bool
    spares: Tensor | None
    """Which parameters weight decay spares (P,); None: none, and the kernel decays them."""

    def update(self, kernel: Callable[..., Any]) -> None:
        """Take the step."""
        kernel(
            [self.parameters],
            [self.gradients],
            *self.buffers,
            [self.number],
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=self.decay if self.spares is None else 0.0,
            eps=self.eps,
            amsgrad=self.amsgrad,
            maximize=False,
        )


def _rows(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> Iterator[_Row]:
    numbers = step["number"].unbind()
    values = zip(*(step[name].flatten().tolist() for name in _NAMES), strict=True)
    for i, (lr, beta1, beta2, eps, decay, amsgrad, decays_biases) in enumerate(values):
        largest = [state["largest_square"][i]] if amsgrad else []
        buffers = [state["mean"][i]], [state["square"][i]], largest
        spares = None if decays_biases or not decay or step.decayed is None else ~step.decayed[i]
        yield _Row(
            parameters[i],
            gradients[i],
            buffers,
            numbers[i],
            lr,
            beta1,
            beta2,
            eps,
            decay,
            bool(amsgrad),
            spares,
        )
