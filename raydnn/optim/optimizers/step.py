"""What an optimizer's update gets beside the parameters and gradients, and weight decay in its two forms.

An optimizer has two halves: its coefficients, which follow from hyperparameters, learning rate and the number of the
step, are computed for all steps of an epoch at once; its update uses those of one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raydnn.stacking.layout import Layout

State = Mapping[str, Tensor]
"""Buffer → its values for n members."""

Coefficients = dict[str, Tensor]
"""Name → columns (n, 1), or (S, n, 1) where they differ from step to step."""


@dataclass(frozen=True)
class Horizon:
    """What S steps of n members that share an optimizer depend on, float64, so that 1 − β loses nothing."""

    lr: Tensor
    """Learning rates (S, n, 1)."""
    number: Tensor
    """Each member's count of steps, the present one included, (S, n, 1)."""
    hyper: Mapping[str, Tensor]
    """Hyperparameter → column (n, 1), or (S, n, 1) where a schedule moves it."""
    columns: State
    """The optimizer's own columns (n, 1) as they stand before the first step; to be brought to the last one."""

    def __getitem__(self, name: str) -> Tensor:
        """The column of a hyperparameter."""
        return self.hyper[name]


@dataclass(frozen=True)
class Step:
    """One step of n members that share an optimizer."""

    of: Mapping[str, Tensor]
    """Coefficient → column (n, 1), rounded to the parameters' precision."""
    used: frozenset[str]
    """Hyperparameters that differ from zero in some member; the others can be skipped."""
    decayed: Tensor | None
    """Which parameters (n, P) weight decay acts on; None: all."""
    layout: Layout
    """Of a member's P parameters."""

    def __getitem__(self, name: str) -> Tensor:
        """The column of a coefficient."""
        return self.of[name]

    def of_members(self, members: slice) -> Step:
        """The same step, for some neighbours of the n members."""
        of = {name: column[members] for name, column in self.of.items()}
        return replace(self, of=of, decayed=None if self.decayed is None else self.decayed[members])

    def over(self, place: slice) -> Step:
        """The same step, for the columns of parameters at `place`."""
        return self if self.decayed is None else replace(self, decayed=self.decayed[:, place])


def add_l2(parameters: Tensor, gradients: Tensor, step: Step) -> None:
    """g ← g + λθ, in place."""
    if "weight_decay" in step.used:
        gradients.addcmul_(parameters, _where_decayed(step["weight_decay"], 0.0, step))


def shrinking(plan: Horizon) -> Tensor:
    """1 − ηλ."""
    return 1 - plan.lr * plan["weight_decay"]


def decay(parameters: Tensor, step: Step) -> None:
    """θ ← θ(1 − ηλ), in place."""
    if "weight_decay" in step.used:
        parameters.mul_(_where_decayed(step["shrinking"], 1.0, step))


def _where_decayed(factors: Tensor, exempt: float, step: Step) -> Tensor:
    return factors if step.decayed is None else torch.where(step.decayed, factors, exempt)
