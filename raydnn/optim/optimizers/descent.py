"""Plain gradient descent, which needs no gradient that is kept: θ ← θ − ηg as the backward pass goes along.

Where the outputs' gradients are multiplied by −η, what the backward pass gives each parameter is its step. Added to it
at once, by the matrix product that computes it, it is neither written nor read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from raydnn.optim.schedules import with_cycled_momentum
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.trial import TrialSpec


def descends(trial: TrialSpec) -> bool:
    """Whether nothing but −ηg moves a trial's parameters: no momentum, decay, penalty, limit or clipping.

    It is the trial's own affair, so that its numbers do not depend on who shares its stack.
    """
    optimizer, regularization = with_cycled_momentum(trial.optimizer, trial.schedule), trial.regularization
    return (
        isinstance(optimizer, Sgd)
        and not (optimizer.momentum or optimizer.weight_decay)
        and not (regularization.l1 or regularization.l2 or regularization.elastic_net)
        and regularization.max_norm is None
        and trial.train.clip.name == "none"
        and trial.train.accumulate == 1
    )


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
