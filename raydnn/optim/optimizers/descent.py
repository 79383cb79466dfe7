"""Plain gradient descent, which needs no gradient that is kept: θ ← θ − ηg as the backward pass goes along.

Where the outputs' gradients are multiplied by −η, what the backward pass gives each parameter is its step. Added to it
at once, by the matrix product that computes it, it is neither written nor read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby

import torch
from torch import Tensor

from raydnn.optim.schedules import with_cycled_momentum
from raydnn.spec.base import Component, Descends, Spec
from raydnn.spec.catalogue.fields import descent_of, members
from raydnn.spec.trial import TrialSpec


def descends(trial: TrialSpec) -> bool:
    """Whether nothing but −ηg moves a trial's parameters, as the fields of its spec declare (`Descends`).

    It is the trial's own affair, so that its numbers do not depend on who shares its stack.
    """
    return _may_descend(trial) and _may_descend(with_cycled_momentum(trial.optimizer, trial.schedule))


def _may_descend(spec: Spec) -> bool:
    for name, mark, looks_inside in _deciding(type(spec)):
        value = getattr(spec, name)
        if mark is not None and (value.name if isinstance(value, Component) else value) not in mark.values:
            return False
        if looks_inside and isinstance(value, Spec) and not _may_descend(value):
            return False
    return True


@cache
def _deciding(spec: type[Spec]) -> list[tuple[str, Descends | None, bool]]:
    """Name and mark of the fields that decide, and whether fields inside them do."""
    found = []
    for name, field in spec.model_fields.items():
        mark = descent_of(field)
        inside = [cls for cls in members(field.annotation) if isinstance(cls, type) and issubclass(cls, Spec)]
        looks_inside = any(_deciding(cls) for cls in inside)
        if mark is not None or looks_inside:
            found.append((name, mark, looks_inside))
    return found


def descending(trials: Sequence[TrialSpec]) -> list[slice]:
    """Slices of neighbours that descend, ascending."""
    found = []
    for does, group in groupby(enumerate(trials), key=lambda pair: descends(pair[1])):
        positions = [position for position, _ in group]
        if does:
            found.append(slice(positions[0], positions[-1] + 1))
    return found


def others(members: Sequence[slice], start: int, stop: int) -> list[slice]:
    """What ascending slices leave of `start` to `stop`."""
    inside = [slice(max(own.start, start), min(own.stop, stop)) for own in members]
    edges = [start, *(edge for own in inside if own.start < own.stop for edge in (own.start, own.stop)), stop]
    return [slice(one, two) for one, two in zip(edges[::2], edges[1::2], strict=True) if one < two]


def scales(lr: Tensor, members: Sequence[slice], examples: int, dtype: torch.dtype) -> Sequence[Tensor]:
    """What the gradients of each step's summed losses are multiplied by: −η/B for those that descend, else 1/B.

    Args:
        lr: Learning rates (S, N), float64.
        members: Who descends.
        examples: Examples B of a step.
        dtype: Precision of the outputs.

    Returns:
        A column (N, 1, 1) for each of the S steps.
    """
    factors = torch.full_like(lr, 1 / examples)
    for own in members:
        factors[:, own] *= -lr[:, own]
    return factors.to(dtype).view(*lr.shape, 1, 1).unbind()
