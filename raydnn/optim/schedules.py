"""Schedules: the learning rate as a pure function of the step (and, for `performance`, of the epochs so far).

Every function gets the steps since the warm-up as a float array (k,), may ask `Progress` for the lengths,
and returns the learning rates (k,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raydnn.spec.metrics import MODES
from raydnn.spec.schedule import Constant, Cosine, Exponential, Performance, WarmedUp

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Progress:
    """What a schedule may know of the training."""

    lr: float
    """The optimizer's learning rate η₀."""
    steps_per_epoch: int
    total_steps: int
    """Steps of the whole training, or of what the warm-up leaves of it."""
    history: Mapping[str, Sequence[float]]
    """Metric → its value after each finished epoch."""


def constant(_spec: Constant, steps: Array, progress: Progress) -> Array:
    """η = η₀."""
    return np.full_like(steps, progress.lr)


def exponential(spec: Exponential, steps: Array, progress: Progress) -> Array:
    """η = η₀ γ^(t/s); with `staircase` the exponent is rounded down."""
    exponent = steps / (spec.decay_epochs * progress.steps_per_epoch)
    return progress.lr * spec.gamma ** (np.floor(exponent) if spec.staircase else exponent)


def cosine(spec: Cosine, steps: Array, progress: Progress) -> Array:
    """η = η₀[(1−α)(1 + cos(π min(t, s)/s))/2 + α]."""
    decay_steps = (
        progress.total_steps if spec.decay_epochs is None else spec.decay_epochs * progress.steps_per_epoch
    )
    share = np.minimum(steps / max(decay_steps, 1.0), 1.0)
    return progress.lr * ((1 - spec.alpha) * (1 + np.cos(np.pi * share)) / 2 + spec.alpha)


def performance(spec: Performance, steps: Array, progress: Progress) -> Array:
    """η₀ · factor^k after k reductions, never below min_lr; constant within an epoch."""
    lr = progress.lr
    sign = 1.0 if MODES[spec.monitor] == "min" else -1.0
    best = np.inf
    waited = cooling = 0
    for value in progress.history[spec.monitor]:
        if sign * value < best - spec.min_delta:
            best, waited = sign * value, 0
        else:
            waited += 1
        if cooling > 0:
            cooling, waited = cooling - 1, 0
        if waited > spec.patience:
            lr = max(lr * spec.factor, min(spec.min_lr, lr))
            cooling, waited = spec.cooldown, 0
    return np.full_like(steps, lr)


SCHEDULES: dict[str, Callable[[Any, Array, Progress], Array]] = {
    "constant": constant,
    "exponential": exponential,
    "cosine": cosine,
    "performance": performance,
}
"""Name → implementation; the names are those of raydnn.spec.schedule."""


def learning_rates(spec: WarmedUp, steps: Array, progress: Progress) -> Array:
    """Learning rates at absolute steps: a linear warm-up η₀(t+1)/w over w steps, then the schedule from its step 0.

    Args:
        spec: The schedule.
        steps: Absolute steps from 0, shape (k,).
        progress: The training's lengths and history; `total_steps` counts the warm-up too.

    Returns:
        Learning rates, shape (k,).
    """
    warmup_steps = round(spec.warmup_epochs * progress.steps_per_epoch)
    after = Progress(
        progress.lr, progress.steps_per_epoch, progress.total_steps - warmup_steps, progress.history
    )
    scheduled = SCHEDULES[spec.name](spec, np.maximum(steps - warmup_steps, 0.0), after)
    if warmup_steps == 0:
        return scheduled
    return np.where(steps < warmup_steps, progress.lr * (steps + 1) / warmup_steps, scheduled)
