"""Early stopping against values by hand and an oracle that works as Keras' callback does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydnn.spec.metrics import MODES
from raydnn.spec.train import EarlyStopping
from raydnn.training.stack.early_stopping import best_epoch, has_converged, should_stop

NAN = float("nan")

BY_HAND: list[tuple[EarlyStopping, list[float], int, int | None]] = [
    (EarlyStopping(patience=2), [3.0, 2.0, 1.0, 1.5, 1.2], 3, 5),
    (EarlyStopping(patience=1), [3.0, 3.0], 1, 2),
    (EarlyStopping(patience=1), [3.0, 2.0, 1.0], 3, None),
    (EarlyStopping(patience=2), [1.0, 2.0, 0.9, 2.0, 2.0], 3, 5),
    (EarlyStopping(patience=2, min_delta=0.5), [3.0, 2.6, 2.4, 2.0, 2.0], 3, 5),
    (EarlyStopping(patience=2, min_delta=0.5), [3.0, 2.5, 2.6], 1, 3),
    (EarlyStopping(patience=2, monitor="validation_accuracy"), [0.1, 0.3, 0.2, 0.3], 2, 4),
    (EarlyStopping(patience=2, monitor="validation_accuracy"), [0.0, 0.0, 0.0], 1, 3),
    (EarlyStopping(patience=2), [1.0, NAN, NAN], 1, 3),
    (EarlyStopping(patience=3), [], 0, None),
]
"""Settings, values, best epoch of all values, epoch after which training stops."""


def _stop_epoch(spec: EarlyStopping, values: list[float]) -> int | None:
    return next((n for n in range(1, len(values) + 1) if should_stop(spec, values[:n])), None)


@pytest.mark.parametrize(("spec", "values", "best", "stops"), BY_HAND)
def test_by_hand(spec: EarlyStopping, values: list[float], best: int, stops: int | None) -> None:
    assert best_epoch(spec, values) == best
    assert _stop_epoch(spec, values) == stops


@pytest.mark.parametrize(
    ("threshold", "grad_norm", "converged"),
    [
        (None, 0.0, False),
        (0.1, 0.1, False),
        (0.1, 0.09, True),
        (0.1, 0.0, True),
        (0.1, NAN, False),
        (0.1, None, False),
    ],
)
def test_a_gradient_below_the_threshold_has_converged(
    threshold: float | None, grad_norm: float | None, converged: bool
) -> None:
    assert has_converged(EarlyStopping(min_grad_norm=threshold), grad_norm) == converged


class KerasEarlyStopping:
    """State over epochs, as keras.callbacks.EarlyStopping keeps it."""

    def __init__(self, mode: str, patience: int, min_delta: float) -> None:
        self.sign = 1 if mode == "max" else -1
        self.patience, self.min_delta = patience, min_delta
        self.wait = self.best_epoch = 0
        self.best: float | None = None
        self.stopped: int | None = None

    def on_epoch_end(self, epoch: int, value: float) -> None:
        self.wait += 1
        if self.best is None or self.sign * value > self.sign * self.best + self.min_delta:
            self.best, self.best_epoch, self.wait = value, epoch, 0
        elif self.wait >= self.patience and self.stopped is None:
            self.stopped = epoch


@given(
    values=st.lists(st.integers(-8, 8).map(lambda n: n / 8), max_size=25),
    monitor=st.sampled_from(sorted(MODES)),
    patience=st.integers(1, 5),
    min_delta=st.sampled_from([0.0, 0.125, 0.5]),
)
def test_it_stops_when_keras_stops(
    values: list[float], monitor: Any, patience: int, min_delta: float
) -> None:
    spec = EarlyStopping(monitor=monitor, patience=patience, min_delta=min_delta)
    oracle = KerasEarlyStopping(MODES[monitor], patience, min_delta)
    for epoch, value in enumerate(values, 1):
        oracle.on_epoch_end(epoch, value)
        assert best_epoch(spec, values[:epoch]) == oracle.best_epoch
    assert _stop_epoch(spec, values) == oracle.stopped
