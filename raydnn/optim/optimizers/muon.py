"""Muon: the hidden layers' weights step along an orthogonalized velocity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from math import sqrt

import torch
from torch import Tensor

from raydnn.optim.optimizers.adam import adamw, adamw_coefficients
from raydnn.optim.optimizers.step import Coefficients, Horizon, State, Step, decay, shrinking
from raydnn.stacking.layout import Layout, by_unit
from raydnn.stacking.roles import Parameter, Role

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
SMALLEST_NORM = 1e-7
"""Jordan et al. 2024; the same as in torch.optim.Muon."""


def muon_coefficients(plan: Horizon) -> Coefficients:
    """−η, 1 − μ, with Nesterov μ, else 1, 1 − ηλ, and AdamW's for its learning rate, named `adamw.X`."""
    of_adamw = adamw_coefficients(replace(plan, lr=plan.lr * plan["adam_ratio"]))
    return {
        "minus_lr": -plan.lr,
        "blend": 1 - plan["momentum"],
        # Without Nesterov the whole way from the gradient to the velocity.
        "ahead": torch.where(plan["nesterov"], plan["momentum"], 1.0),
        "match_rms": plan["match_rms"],
        "shrinking": shrinking(plan),
        **{f"adamw.{name}": column for name, column in of_adamw.items()},
    }


def muon(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """V ← μV + (1−μ)G, W ← W(1 − ηλ) − η·k·NS(V), or with Nesterov NS((1−μ)G + μV); the rest by AdamW.

    The factor k is √max(1, fan_out/fan_in), or with `match_rms` 0.2·√max(fan_in, fan_out) (Liu et al. 2025,
    arXiv:2502.16982). torch.optim.Muon orthogonalizes in bfloat16; here it is done in the parameters' precision,
    so that a member of a stack takes the steps it takes alone.
    """
    of_rest = {name.removeprefix("adamw."): c for name, c in step.of.items() if name.startswith("adamw.")}
    rest = replace(step, of=of_rest)
    for name, place in _parts(step.layout):
        local = {buffer: values[:, place] for buffer, values in state.items()}
        if name is None:
            adamw(parameters[:, place], gradients[:, place], local, rest.over(place))
        else:
            weight = step.layout.parameters[name]
            _matrix_step(parameters[:, place], gradients[:, place], local, step.over(place), weight)


def _parts(layout: Layout) -> Iterator[tuple[str | None, slice]]:
    """Name and place of each hidden matrix, and the place of all neighbours between them at once, without a name."""
    hidden = hidden_matrices(layout)
    for is_hidden, neighbours in groupby(layout.spans.items(), key=lambda span: span[0] in hidden):
        spans = list(neighbours)
        if is_hidden:
            yield from spans
        else:
            yield None, slice(spans[0][1].start, spans[-1][1].stop)


def hidden_matrices(layout: Layout) -> set[str]:
    """The parameters that Muon itself updates: every layer's weights but the output layer's.

    A weight of more dimensions, as a convolution's kernels, is a matrix with a row for each unit.
    """
    return set(layout.having(Role.WEIGHT)) - layout.outputs


def _matrix_step(parameters: Tensor, gradients: Tensor, state: State, step: Step, weight: Parameter) -> None:
    velocity = state["mean"].lerp_(gradients, step["blend"])
    direction = gradients.lerp_(velocity, step["ahead"])
    units = by_unit(direction.view(len(direction), *weight.shape), weight)
    rows = units.flatten(1, 2).flatten(2)
    fan_out, fan_in = rows.shape[1:]
    matrices = orthogonalized(rows).view(units.shape)
    step_of_units = matrices.movedim(2, 2 + weight.unit_axis).reshape(direction.shape)
    decay(parameters, step)
    factor = sqrt(max(1.0, fan_out / fan_in))
    minus_lr = step["minus_lr"]
    if "match_rms" in step.used:
        # Relative to the other factor.
        minus_lr = minus_lr * torch.where(step["match_rms"], 0.2 * sqrt(max(fan_in, fan_out)) / factor, 1.0)
    parameters.addcmul_(step_of_units, minus_lr, value=factor)


def orthogonalized(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly: X ← aX + (bA + cA²)X with A = XXᵀ, five times, from X = G/‖G‖.

    Args:
        matrices: (n, r, c).

    Returns:
        (n, r, c), with singular values of about 0.7 to 1.2.
    """
    a, b, c = COEFFICIENTS
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
