"""An architecture: the layers of a network, and how they are composed for the N members of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn

from raydnn.nn.layers.costs import Costs, in_all, where_recomputed
from raydnn.nn.layers.layer import Layer, Row, Shape
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.naming import register
from raydnn.nn.models.recomputing import Step, recomputed
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout, one_after_another
from raydnn.stacking.roles import Role


@dataclass(frozen=True)
class Architecture:
    """The layers of a network, the same for all members of a stack."""

    inputs: Shape
    """Shape of an example."""
    layers: tuple[Layer, ...]
    """In the order in which their parameters lie in a member's row."""
    compose: Callable[[Architecture, Members], nn.Module]
    """Makes the module: (inputs, as in `of_members`, context) → outputs (N, B, K)."""
    output: str | None = None
    """The layer whose weights give the outputs, as parameters call it; None: the last one that has weights."""

    @cached_property
    def layout(self) -> Layout:
        """The layout of one member's parameters, those of the output layer marked."""
        layout = one_after_another(layer.layout for layer in self.layers)
        layer_of = {name: weight.layer for name, weight in layout.having(Role.WEIGHT).items()}
        last = next(reversed(layer_of.values()), None) if self.output is None else self.output
        return replace(layout, outputs=frozenset(name for name, layer in layer_of.items() if layer == last))

    def costs(self, trial: TrialSpec) -> Costs:
        """What all layers together cost a member like this trial."""
        costs = [layer.costs(trial) for layer in self.layers]
        if trial.train.recompute:
            return where_recomputed(costs, [prod(layer.shape) for layer in self.layers])
        return in_all(costs)

    def rows(self, trial: TrialSpec) -> list[Row]:
        """The rows of the printed summary, of a member like this trial."""
        return [row for layer in self.layers for row in layer.rows(trial)]

    def start(self, trial: TrialSpec) -> tuple[Tensor, Tensor]:
        """One member's first parameters (P,) and running averages (S,)."""
        parameters = torch.zeros(1, self.layout.size)
        statistics = torch.zeros(1, self.layout.statistics_size)
        views, running = self.layout.views(parameters), self.layout.statistics_views(statistics)
        for layer in self.layers:
            layer.start(trial, views, running)
        return parameters[0], statistics[0]

    def module(
        self, flat: Tensor, trials: Sequence[TrialSpec], statistics: Tensor | None = None
    ) -> nn.Module:
        """The network of N members.

        Args:
            flat: Their parameters (N, P); those of the module are views of it.
            trials: The members.
            statistics: Their running averages (N, S); None where the layout has none.
        """
        return self.compose(self, Members(trials, self.layout, flat, statistics))


class Chain(nn.Module):
    """Layers one after another, for N members."""

    def __init__(self, architecture: Architecture, members: Members) -> None:
        """Make the layers' modules; the names of their parameters are those of the layout."""
        super().__init__()
        self._inputs = architecture.inputs
        self._members = len(members.trials)
        self._in_order = [layer.module(members) for layer in architecture.layers]
        for layer, module in zip(architecture.layers, self._in_order, strict=True):
            register(self, layer.name, module)
        self._recomputes = members.trials[0].train.recompute
        self._steps = [_step(module) for module in self._in_order] if self._recomputes else []

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute the outputs (N, B, K) of inputs as in `of_members`."""
        values = of_members(inputs, self._inputs, self._members)
        if self._recomputes and context.trains:
            return recomputed(self, self._steps, values, context)
        for module in self._in_order:
            values = module(values, context)
        return values


def _step(module: nn.Module) -> Step:
    return lambda state, context: (module(state[0], context), None)


def of_members(inputs: Tensor, shape: Shape, members: int) -> Tensor:
    """Inputs (B, *shape) or (1, B, *shape) that all members share, or their own, as (N, B, *shape)."""
    leading = inputs if inputs.dim() == 2 + len(shape) else inputs.unsqueeze(0)
    return leading.expand(members, *leading.shape[1:])
