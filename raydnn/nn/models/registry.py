"""Models by name: how a member's parameters are laid out, and the module that computes a whole stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raydnn.nn.initializers import INITIALIZERS
from raydnn.nn.models.mlp import Mlp, mlp_layout, zero_scales
from raydnn.nn.models.module import Modules, initial_module, module_layout
from raydnn.spec.axes.activation import Prelu
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.layout import Layout
from raydnn.stacking.random import generator
from raydnn.stacking.roles import Role


@dataclass(frozen=True)
class Architecture:
    """A model's three functions."""

    layout: Callable[[TrialSpec, int, int], Layout]
    """(member, inputs, outputs) → layout of its parameters."""
    initial: Callable[[Layout, TrialSpec], tuple[Tensor, Tensor]]
    """(layout, member) → its first parameters (P,) and running averages (S,)."""
    module: Callable[[Layout, Tensor, Sequence[TrialSpec], Tensor], nn.Module]
    """(layout, parameters (N, P), members, statistics (N, S)) → module (1 or N, B, *features) → (N, B, K)."""


def initial_parameters(layout: Layout, trial: TrialSpec) -> Tensor:
    """Draw one member's first parameters (P,): matrices by its initializer, biases 0, learned slopes as given,
    scales of normalizations 1.

    Every parameter has a generator of its own, keyed by the trial's seed and the parameter's name.
    """
    initializer = INITIALIZERS[trial.init.name]
    flat = torch.zeros(1, layout.size)
    zeros = zero_scales(trial)
    for name, view in layout.views(flat).items():
        parameter = layout.parameters[name]
        if parameter.role is Role.WEIGHT:
            drawn = initializer(
                trial.init, parameter.fan_in, parameter.fan_out, generator("init", trial.seed, name)
            )
            view[0] = drawn.T
        elif parameter.role is Role.SLOPE and isinstance(trial.activation, Prelu):
            view.fill_(trial.activation.alpha)
        elif parameter.role is Role.SCALE and name not in zeros:
            view.fill_(1.0)
    return flat[0]


def initial_statistics(layout: Layout) -> Tensor:
    """One member's first running averages (S,): means 0 and variances 1."""
    flat = torch.zeros(1, layout.statistics_size)
    for name, view in layout.statistics_views(flat).items():
        if name.endswith(".variance"):
            view.fill_(1.0)
    return flat[0]


def _initial(layout: Layout, trial: TrialSpec) -> tuple[Tensor, Tensor]:
    return initial_parameters(layout, trial), initial_statistics(layout)


_DENSE = Architecture(mlp_layout, _initial, Mlp)
MODELS: dict[str, Architecture] = {
    "perceptron": _DENSE,
    "mlp": _DENSE,
    "residual_mlp": _DENSE,
    "module": Architecture(module_layout, initial_module, Modules),
}
"""Name → implementation; the names are those of raydnn.spec.axes.model."""
