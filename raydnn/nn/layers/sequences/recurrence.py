"""Recurrences of N members along a sequence: one loop over the steps, and its gradients by hand.

By hand the weights' gradient is one product over all steps, where autograd adds one up for each of them. Values are
(N, T, B, ...): step by step. The formulas, the order of the gates and both biases are those of torch.nn.RNN, LSTM and
GRU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from raydnn.nn.activations import activate, activate_by_hand, pull_back
from raydnn.stacking.context import Context
from raydnn.stacking.groups import MemberGroup

Groups = Sequence[MemberGroup]


def projected(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What all steps bring to the gates at once: xWᵀ + b, (N, T, B, gates · H) of inputs (N, T, B, F)."""
    members, steps, examples, _ = inputs.shape
    # A product in the inputs' precision, which may be lower than that of all else.
    own = weight.to(inputs.dtype)
    rows = torch.baddbmm(bias.to(own.dtype).unsqueeze(1), inputs.flatten(1, 2), own.mT).to(weight.dtype)
    return rows.view(members, steps, examples, -1)


def stepped(
    inputs: Tensor, weights: Sequence[Tensor], groups: Groups, context: Context, alpha: Tensor | None
) -> Tensor:
    """`Simple` by autograd, for activations whose derivative is not written out; `alpha` (N, H) of `prelu`."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    hidden: list[Tensor] = []
    for z in projected(inputs, weight_ih, bias_ih + bias_hh).unbind(1):
        own = torch.baddbmm(z, hidden[-1], weight_hh.mT) if hidden else z
        hidden.append(activate(groups, own, context, alpha))
    return torch.stack(hidden, dim=1)


class Simple(Function):
    """h_t = f(W_ih x_t + b_ih + W_hh h_(t−1) + b_hh) (Elman 1990)."""

    @staticmethod
    def forward(
        ctx: Any, groups: Groups, inputs: Tensor, weight_ih: Tensor, weight_hh: Tensor, *biases: Tensor
    ) -> Tensor:
        """Compute h (N, T, B, H)."""
        hidden = projected(inputs, weight_ih, biases[0] + biases[1])
        kept = []
        for t in range(hidden.shape[1]):
            z = hidden[:, t]
            if t:
                z.baddbmm_(hidden[:, t - 1], weight_hh.mT)
            kept.append(activate_by_hand(groups, z)[1])
        ctx.groups, ctx.kept = groups, kept
        ctx.save_for_backward(inputs, weight_ih, weight_hh, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor) -> tuple[Tensor | None, ...]:
        """Pull the gradient back through every step."""
        inputs, weight_ih, weight_hh, hidden = ctx.saved_tensors
        gates = of_hidden.clone(memory_format=torch.contiguous_format)
        for t in reversed(range(hidden.shape[1])):
            own = gates[:, t]
            if t < hidden.shape[1] - 1:
                own.baddbmm_(gates[:, t + 1], weight_hh)
            pull_back(ctx.groups, own, ctx.kept[t])
        return None, *_gradients(ctx.needs_input_grad[1], gates, gates, inputs, weight_ih, hidden)


class Lstm(Function):
    """i, f, o = σ(...), g = tanh(...), c_t = f·c_(t−1) + i·g, h_t = o·tanh c_t (Hochreiter & Schmidhuber 1997)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight_ih: Tensor, weight_hh: Tensor, *biases: Tensor) -> Tensor:
        """Compute h (N, T, B, H)."""
        gates = projected(inputs, weight_ih, biases[0] + biases[1])
        units = weight_hh.shape[-1]
        hidden = gates.new_empty(*gates.shape[:3], units)
        cells = torch.empty_like(hidden)
        for t in range(gates.shape[1]):
            z = gates[:, t]
            if t:
                z.baddbmm_(hidden[:, t - 1], weight_hh.mT)
            i, f = z[..., :units], z[..., units : 2 * units]
            g, o = z[..., 2 * units : 3 * units].tanh_(), z[..., 3 * units :].sigmoid_()
            z[..., : 2 * units].sigmoid_()
            cell = torch.mul(i, g, out=cells[:, t])
            if t:
                cell.addcmul_(f, cells[:, t - 1])
            torch.mul(o, cell.tanh(), out=hidden[:, t])
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, cells, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor) -> tuple[Tensor | None, ...]:
        """With a_t = ∂h_t/∂c_t: dc_t = f_(t+1)·dc_(t+1) + a_t·dh_t, and each gate's own derivative times these."""
        inputs, weight_ih, weight_hh, gates, cells, hidden = ctx.saved_tensors
        members, steps, examples, units = hidden.shape
        i, f, g, o = gates.chunk(4, dim=-1)
        squashed = cells.tanh()
        through = o * (1 - squashed.square())
        pulled = torch.empty_like(gates)
        torch.mul(g * i, 1 - i, out=pulled[..., :units])
        pulled[:, 0, :, units : 2 * units] = 0
        torch.mul(cells[:, :-1] * f[:, 1:], 1 - f[:, 1:], out=pulled[:, 1:, :, units : 2 * units])
        torch.mul(i, 1 - g.square(), out=pulled[..., 2 * units : 3 * units])
        torch.mul(squashed * o, 1 - o, out=pulled[..., 3 * units :])
        of_cell = torch.zeros_like(cells[:, 0])
        for t in reversed(range(steps)):
            own = of_hidden[:, t]
            if t < steps - 1:
                own = torch.baddbmm(own, pulled[:, t + 1], weight_hh)
                of_cell.mul_(f[:, t + 1])
            of_cell.addcmul_(own, through[:, t])
            pulled[:, t, :, : 3 * units].view(members, examples, 3, units).mul_(of_cell.unsqueeze(2))
            pulled[:, t, :, 3 * units :].mul_(own)
        return _gradients(ctx.needs_input_grad[0], pulled, pulled, inputs, weight_ih, hidden)


class Gru(Function):
    """r, z = σ(...), n = tanh(W_in x + b_in + r·(W_hn h + b_hn)), h_t = (1 − z)·n + z·h_(t−1) (Cho et al. 2014)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight_ih: Tensor, weight_hh: Tensor, *biases: Tensor) -> Tensor:
        """Compute h (N, T, B, H)."""
        gates = projected(inputs, weight_ih, biases[0])
        units, bias_hh = weight_hh.shape[-1], biases[1].unsqueeze(1)
        hidden = gates.new_empty(*gates.shape[:3], units)
        recalled = torch.empty_like(hidden)
        before = torch.zeros_like(hidden[:, 0])
        for t in range(gates.shape[1]):
            z, again = gates[:, t], torch.baddbmm(bias_hh, before, weight_hh.mT)
            opened = z[..., : 2 * units].add_(again[..., : 2 * units]).sigmoid_()
            own = recalled[:, t].copy_(again[..., 2 * units :])
            new = z[..., 2 * units :].addcmul_(opened[..., :units], own).tanh_()
            before = torch.lerp(new, before, opened[..., units:], out=hidden[:, t])
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, recalled, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor) -> tuple[Tensor | None, ...]:
        """dh_t = what comes in + z_(t+1)·dh_(t+1) + W_hhᵀ of the gates' gradients at t + 1."""
        inputs, weight_ih, weight_hh, gates, recalled, hidden = ctx.saved_tensors
        members, steps, examples, units = hidden.shape
        r, z, n = gates.chunk(3, dim=-1)
        of_new = (1 - n.square()).mul_(1 - z)
        before = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], dim=1)
        again = torch.empty_like(gates)
        torch.mul(of_new, r, out=again[..., 2 * units :])
        torch.mul(again[..., 2 * units :] * (1 - r), recalled, out=again[..., :units])
        torch.mul((before - n) * z, 1 - z, out=again[..., units : 2 * units])
        total = of_hidden.clone(memory_format=torch.contiguous_format)
        for t in reversed(range(steps)):
            own = total[:, t]
            if t < steps - 1:
                own.addcmul_(total[:, t + 1], z[:, t + 1]).baddbmm_(again[:, t + 1], weight_hh)
            again[:, t].view(members, examples, 3, units).mul_(own.unsqueeze(2))
        pulled = again.clone()
        torch.mul(total, of_new, out=pulled[..., 2 * units :])
        return _gradients(ctx.needs_input_grad[0], pulled, again, inputs, weight_ih, hidden)


def _gradients(
    of_inputs: bool, pulled: Tensor, again: Tensor, inputs: Tensor, weight_ih: Tensor, hidden: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients of inputs, W_ih, W_hh, b_ih and b_hh, each by one product over all steps.

    Args:
        of_inputs: Whether those of the inputs are wanted.
        pulled: The gradient of what the inputs bring to the gates.
        again: The gradient of what the state before brings to them.
        inputs: (N, T, B, F).
        weight_ih: Weights of the inputs.
        hidden: h.
    """
    rows = pulled.flatten(1, 2)
    bias_ih = rows.sum(dim=1)
    lowered = rows.to(inputs.dtype)
    return (
        torch.bmm(lowered, weight_ih.to(inputs.dtype)).view(inputs.shape) if of_inputs else None,
        torch.bmm(lowered.mT, inputs.flatten(1, 2)).to(weight_ih.dtype),
        torch.bmm(again[:, 1:].flatten(1, 2).mT, hidden[:, :-1].flatten(1, 2)),
        bias_ih,
        bias_ih if again is pulled else again.flatten(1, 2).sum(dim=1),
    )
