"""Schedules: the learning rate as a pure function of the step (and, for `performance`, of the epochs so far).

Every function gets the steps since the warm-up as a float array (k,), may ask `Progress` for the lengths,
and returns the learning rates (k,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from raydnn.spec.axes.optimizer import momentum_field
from raydnn.spec.axes.schedule import (
    Annealing,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    OneCycle,
    Performance,
    Piecewise,
    Polynomial,
    Power,
    WarmedUp,
    Wsd,
)
from raydnn.spec.base import Component
from raydnn.spec.metrics import MODES

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainingTime:
    """What a schedule may know of the training."""

    lr: float
    """The optimizer's learning rate η₀."""
    steps_per_epoch: int
    total_steps: int
    """Steps of the whole training, or of what the warm-up leaves of it."""
    history: Mapping[str, Sequence[float]]
    """Metric → its value after each finished epoch, or after each that the warm-up leaves of them."""


def constant(_spec: Constant, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀."""
    return np.full_like(steps, progress.lr)


def annealing(spec: Annealing, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀(1−β)^k after k epochs (or steps)."""
    count = steps if spec.per == "step" else np.floor(steps / progress.steps_per_epoch)
    return progress.lr * (1 - spec.beta) ** count


def piecewise(spec: Piecewise, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀ · factorᵢ from boundaryᵢ on, η₀ before the first.

    Keras' PiecewiseConstantDecay changes one step later, after its boundary; torch's MultiStepLR is the same.
    """
    boundaries = np.array(spec.boundaries_epochs) * progress.steps_per_epoch
    passed = np.searchsorted(boundaries, steps, side="right")
    return progress.lr * np.array((1.0, *spec.factors))[passed]


def exponential(spec: Exponential, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀ γ^(t/s); with `staircase` the exponent is rounded down."""
    exponent = steps / (spec.decay_epochs * progress.steps_per_epoch)
    return progress.lr * spec.gamma ** (np.floor(exponent) if spec.staircase else exponent)


def power(spec: Power, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀/(1 + γt/s)^p."""
    times = steps / (spec.decay_epochs * progress.steps_per_epoch)
    return progress.lr / (1 + spec.gamma * times) ** spec.exponent


def polynomial(spec: Polynomial, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀[(1−α)(1 − min(t, s)/s)^p + α]; with `cycle` s is the next multiple of s that t has not passed."""
    share = steps / _decay_steps(spec.decay_epochs, progress)
    share = share / np.maximum(np.ceil(share), 1.0) if spec.cycle else np.minimum(share, 1.0)
    return progress.lr * ((1 - spec.alpha) * (1 - share) ** spec.exponent + spec.alpha)


def performance(spec: Performance, steps: Array, progress: TrainingTime) -> Array:
    """η₀ · factor^k after k reductions, never below min_lr; constant within an epoch.

    An epoch without improvement is needed for a reduction, so that a patience of 0 is one of 1, as in Keras.
    """
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
        if waited >= max(spec.patience, 1):
            lr = max(lr * spec.factor, min(spec.min_lr, lr))
            cooling, waited = spec.cooldown, 0
    return np.full_like(steps, lr)


def cosine(spec: Cosine, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀[(1−α)(1 + cos(π min(t, s)/s))/2 + α]."""
    share = np.minimum(steps / _decay_steps(spec.decay_epochs, progress), 1.0)
    return progress.lr * ((1 - spec.alpha) * (1 + np.cos(np.pi * share)) / 2 + spec.alpha)


def cosine_restarts(spec: CosineRestarts, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀[(1−α) mⁱ(1 + cos πf)/2 + α], f the share of cycle i that has passed; its length is s·t_mulⁱ."""
    length = max(spec.cycle_epochs * progress.steps_per_epoch, 1.0)
    starts = [0.0]
    while starts[-1] + length <= steps.max():
        starts.append(starts[-1] + length)
        length *= spec.t_mul
    ends = np.array([*starts[1:], starts[-1] + length])
    cycle = np.searchsorted(starts, steps, side="right") - 1
    first = np.array(starts)[cycle]
    share = (steps - first) / (ends[cycle] - first)
    peak = (1 - spec.alpha) * np.power(spec.m_mul, cycle, dtype=np.float64)
    height: Array = peak * (1 + np.cos(np.pi * share)) / 2 + spec.alpha
    return progress.lr * height


def one_cycle(spec: OneCycle, steps: Array, progress: TrainingTime) -> Array:
    """η from low·η₀ to η₀ in the first share r of the training, back in r, and down to final·η₀ in the rest."""
    return progress.lr * _three_ways((spec.low, 1.0, spec.low, spec.final), spec, steps, progress)


def one_cycle_momentum(spec: OneCycle, steps: Array, progress: TrainingTime) -> Array:
    """The momentum from high to low while η rises, back to high while it falls, and then high."""
    high, low = spec.momentum_high, spec.momentum_low
    return _three_ways((high, low, high, high), spec, steps, progress)


def wsd(spec: Wsd, steps: Array, progress: TrainingTime) -> Array:
    """η = η₀ until the last share d of the training, then η₀[(1−α)(1 − h(f)) + α], f the share of it passed."""
    length = spec.decay_share * progress.total_steps
    share = np.clip((steps - progress.total_steps + length) / max(length, 1.0), 0.0, 1.0)
    return progress.lr * ((1 - spec.alpha) * (1 - ANNEALS[spec.anneal](share)) + spec.alpha)


ANNEALS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda share: share,
    "cosine": lambda share: (1 - np.cos(np.pi * share)) / 2,
    "sqrt": np.sqrt,
}
"""Shape → how far a way has been gone at a share of its time, both from 0 to 1."""


def _decay_steps(decay_epochs: float | None, progress: TrainingTime) -> float:
    """s, at least 1."""
    steps = progress.total_steps if decay_epochs is None else decay_epochs * progress.steps_per_epoch
    return max(steps, 1.0)


def _three_ways(
    values: tuple[float, float, float, float], spec: OneCycle, steps: Array, progress: TrainingTime
) -> Array:
    """Go from the first value to the second, the third and the fourth; the phases end where torch's do."""
    rise = spec.rise * progress.total_steps
    ends = np.maximum.accumulate(np.array((0.0, rise - 1, 2 * rise - 2, progress.total_steps - 1)))
    way = np.clip(np.searchsorted(ends, steps, side="right") - 1, 0, 2)
    lengths = np.maximum(ends[way + 1] - ends[way], 1e-9)
    gone = ANNEALS[spec.anneal](np.clip((steps - ends[way]) / lengths, 0.0, 1.0))
    points = np.array(values, dtype=np.float64)
    return points[way] + (points[way + 1] - points[way]) * gone


SCHEDULES: dict[str, Callable[[Any, Array, TrainingTime], Array]] = {
    "constant": constant,
    "annealing": annealing,
    "piecewise": piecewise,
    "exponential": exponential,
    "power": power,
    "polynomial": polynomial,
    "performance": performance,
    "cosine": cosine,
    "cosine_restarts": cosine_restarts,
    "one_cycle": one_cycle,
    "wsd": wsd,
}
"""Name → implementation; the names are those of raydnn.spec.axes.schedule."""


def learning_rates(spec: WarmedUp, steps: Array, progress: TrainingTime) -> Array:
    """Learning rates at absolute steps: a linear warm-up over w steps, η(0)(t+1)/w, to the schedule's own step 0.

    Args:
        spec: The schedule.
        steps: Absolute steps from 0, shape (k,).
        progress: The training's lengths and history; `total_steps` counts the warm-up too.

    Returns:
        Learning rates, shape (k,).
    """
    warmup_steps, since, after = _after_warm_up(spec, steps, progress)
    scheduled = SCHEDULES[spec.name](spec, since, after)
    if warmup_steps == 0:
        return scheduled
    # Until the warm-up ends, the schedule is at its step 0.
    return np.where(steps < warmup_steps, scheduled * (steps + 1) / warmup_steps, scheduled)


def momenta(spec: WarmedUp, steps: Array, progress: TrainingTime) -> Array | None:
    """Momenta (or the Adam family's β₁) at absolute steps, shape (k,); None where the optimizer keeps its own.

    Args:
        spec: The schedule.
        steps: Absolute steps from 0, shape (k,); the warm-up has the momentum of the schedule's step 0.
        progress: As for `learning_rates`.
    """
    if not _cycles_momentum(spec):
        return None
    _, since, after = _after_warm_up(spec, steps, progress)
    return one_cycle_momentum(spec, since, after)


def with_cycled_momentum(optimizer: Component, schedule: WarmedUp) -> Component:
    """An optimizer with the highest momentum that its schedule will give, so that it keeps a velocity."""
    field = momentum_field(type(optimizer).model_fields)
    if field is None or not _cycles_momentum(schedule):
        return optimizer
    return optimizer.model_copy(update={field: max(schedule.momentum_high, schedule.momentum_low)})


def _cycles_momentum(spec: WarmedUp) -> TypeGuard[OneCycle]:
    return isinstance(spec, OneCycle) and spec.cycle_momentum


def _after_warm_up(spec: WarmedUp, steps: Array, progress: TrainingTime) -> tuple[int, Array, TrainingTime]:
    """Steps of the warm-up, the steps since it ended (0 before that), and the training that it leaves."""
    warmup_steps = round(spec.warmup_epochs * progress.steps_per_epoch)
    if not warmup_steps:
        return 0, steps, progress
    # An epoch that the warm-up reaches into says nothing of the schedule's own learning rates.
    counted = {metric: values[ceil(spec.warmup_epochs) :] for metric, values in progress.history.items()}
    after = replace(progress, total_steps=progress.total_steps - warmup_steps, history=counted)
    return warmup_steps, np.maximum(steps - warmup_steps, 0.0), after
