"""What an optimizer's update gets beside the parameters and gradients, and weight decay in its two forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raydnn.optim.shapes import Shapes

State = Mapping[str, Tensor]
"""Buffer → its values for n members."""


@dataclass(frozen=True)
class Step:
    """One step of n members that share an optimizer.

    Columns are (n, 1) and float64, so that 1 − β loses nothing; they are rounded once, to the parameters'
    precision, where they are used.
    """

    lr: Tensor
    """Learning rates, a column."""
    number: Tensor
    """Each member's count of steps, this one included, a column."""
    hyper: Mapping[str, Tensor]
    """Hyperparameter → column."""
    used: frozenset[str]
    """Hyperparameters that differ from zero in some member; the others can be skipped."""
    decayed: Tensor | None
    """Which parameters (n, P) weight decay acts on; None: all."""
    shapes: Shapes
    """How a member's P parameters are made up."""

    def over(self, place: slice) -> Step:
        """The same step, for the columns of parameters at `place`."""
        return self if self.decayed is None else replace(self, decayed=self.decayed[:, place])


def add_l2(parameters: Tensor, gradients: Tensor, step: Step) -> None:
    """g ← g + λθ, in place."""
    if "weight_decay" in step.used:
        factors = step.hyper["weight_decay"].to(parameters.dtype)
        gradients.addcmul_(parameters, _where_decayed(factors, 0.0, step))


def decay(parameters: Tensor, step: Step) -> None:
    """θ ← θ(1 − ηλ), in place."""
    if "weight_decay" in step.used:
        factors = (1 - step.lr * step.hyper["weight_decay"]).to(parameters.dtype)
        parameters.mul_(_where_decayed(factors, 1.0, step))


def _where_decayed(factors: Tensor, exempt: float, step: Step) -> Tensor:
    return factors if step.decayed is None else torch.where(step.decayed, factors, exempt)
