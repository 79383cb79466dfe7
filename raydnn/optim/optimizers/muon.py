"""Muon: the hidden layers' weights step along an orthogonalized velocity."""

from __future__ import annotations

from dataclasses import replace
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
    """−η, μ, 1 − μ, 1 − ηλ, and AdamW's for its learning rate, named `adamw.X`."""
    of_adamw = adamw_coefficients(replace(plan, lr=plan.lr * plan["adam_ratio"]))
    return {
        "minus_lr": -plan.lr,
        "momentum": plan["momentum"],
        "blend": 1 - plan["momentum"],
        "nesterov": plan["nesterov"],
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
    hidden = hidden_matrices(step.layout)
    for name, place in step.layout.spans.items():
        local = {buffer: values[:, place] for buffer, values in state.items()}
        if name in hidden:
            weight = step.layout.parameters[name]
            _matrix_step(parameters[:, place], gradients[:, place], local, step.over(place), weight)
        else:
            adamw(parameters[:, place], gradients[:, place], local, rest.over(place))


def hidden_matrices(layout: Layout) -> set[str]:
    """The parameters that Muon itself updates: every layer's weights but the last one's, which is the output layer.

    A weight of more dimensions, as a convolution's kernels, is a matrix with a row for each unit.
    """
    weights = list(layout.having(Role.WEIGHT))
    return set(weights[:-1])


def _matrix_step(parameters: Tensor, gradients: Tensor, state: State, step: Step, weight: Parameter) -> None:
    velocity = state["mean"].lerp_(gradients, step["blend"])
    ahead = gradients.lerp_(velocity, step["momentum"])
    direction = torch.where(step["nesterov"], ahead, velocity)
    units = by_unit(direction.view(len(direction), *weight.shape), weight)
    rows = units.flatten(1, 2).flatten(2)
    fan_out, fan_in = rows.shape[1:]
    matrices = orthogonalized(rows).view(units.shape)
    step_of_units = matrices.movedim(2, 2 + weight.unit_axis).reshape(direction.shape)
    decay(parameters, step)
    factor = torch.where(
        step["match_rms"], 0.2 * sqrt(max(fan_in, fan_out)), sqrt(max(1.0, fan_out / fan_in))
    )
    parameters.addcmul_(step_of_units, step["minus_lr"] * factor)


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
