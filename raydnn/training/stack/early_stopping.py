"""Early stopping as pure functions of the values so far, so that nothing needs to be saved to resume."""

from __future__ import annotations

from collections.abc import Sequence

from raydnn.spec.metrics import MODES
from raydnn.spec.train import EarlyStopping


def best_epoch(spec: EarlyStopping, values: Sequence[float]) -> int:
    """The last epoch (from 1) that improved on all before it by more than `min_delta`; 0 if none did."""
    sign = 1.0 if MODES[spec.monitor] == "min" else -1.0
    best, found = float("inf"), 0
    for epoch, value in enumerate(values, 1):
        if sign * value < best - spec.min_delta:
            best, found = sign * value, epoch
    return found


def should_stop(spec: EarlyStopping, values: Sequence[float]) -> bool:
    """Whether `patience` epochs have passed since the best one."""
    return len(values) - best_epoch(spec, values) >= spec.patience


def has_converged(spec: EarlyStopping, grad_norm: float | None) -> bool:
    """Whether the gradient has fallen below `min_grad_norm`; never where that is off or no epoch was trained."""
    return spec.min_grad_norm is not None and grad_norm is not None and grad_norm < spec.min_grad_norm
