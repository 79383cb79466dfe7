"""Schedules: values computed by hand, torch.optim.lr_scheduler's, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, pi, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from raydnn.optim.schedules import SCHEDULES, Progress, learning_rates
from raydnn.spec.metrics import MODES
from raydnn.spec.schedule import Constant, Cosine, Exponential, Performance, WarmedUp

LR = 0.1
STEPS_PER_EPOCH = 10
EPOCHS = 8
TOTAL = STEPS_PER_EPOCH * EPOCHS


def _progress(history: Mapping[str, Sequence[float]] | None = None, lr: float = LR) -> Progress:
    return Progress(lr, STEPS_PER_EPOCH, TOTAL, history or {metric: [] for metric in MODES})


def _rates(spec: WarmedUp, steps: Sequence[float]) -> list[float]:
    return learning_rates(spec, np.array(steps, dtype=np.float64), _progress()).tolist()


BY_HAND: list[tuple[WarmedUp, dict[float, float]]] = [
    (Constant(), {0: 0.1, 79: 0.1, 80: 0.1, 1000: 0.1}),
    (Constant(warmup_epochs=1), {0: 0.01, 4: 0.05, 8: 0.09, 9: 0.1, 10: 0.1, 80: 0.1}),
    (Constant(warmup_epochs=0.3), {0: 0.1 / 3, 1: 0.2 / 3, 2: 0.1, 3: 0.1}),
    (Constant(warmup_epochs=0.01), {0: 0.1}),
    (
        Exponential(gamma=0.5),
        {0: 0.1, 5: 0.1 * sqrt(0.5), 10: 0.05, 20: 0.025, 80: 0.1 / 256, 100: 0.1 / 1024},
    ),
    (Exponential(gamma=0.5, staircase=True), {0: 0.1, 9: 0.1, 10: 0.05, 19: 0.05, 20: 0.025, 80: 0.1 / 256}),
    (Exponential(gamma=0.25, decay_epochs=2.0), {0: 0.1, 10: 0.05, 20: 0.025, 40: 0.1 / 16}),
    (Exponential(gamma=1.0), {0: 0.1, 80: 0.1}),
    (Exponential(gamma=0.5, warmup_epochs=2), {0: 0.005, 19: 0.1, 20: 0.1, 30: 0.05, 40: 0.025}),
    (Cosine(), {0: 0.1, 20: 0.05 * (1 + cos(pi / 4)), 40: 0.05, 60: 0.05 * (1 - sqrt(0.5)), 80: 0, 200: 0}),
    (Cosine(alpha=0.2), {0: 0.1, 40: 0.06, 80: 0.02, 200: 0.02}),
    (Cosine(alpha=1.0), {0: 0.1, 40: 0.1, 80: 0.1}),
    (Cosine(decay_epochs=4.0), {0: 0.1, 20: 0.05, 40: 0, 80: 0}),
    (Cosine(warmup_epochs=4), {0: 0.0025, 39: 0.1, 40: 0.1, 60: 0.05, 80: 0, 81: 0}),
    (Cosine(decay_epochs=2.0, warmup_epochs=1), {9: 0.1, 10: 0.1, 20: 0.05, 30: 0, 80: 0}),
    (Performance(), {0: 0.1, 80: 0.1}),
    (Performance(warmup_epochs=1), {0: 0.01, 9: 0.1, 10: 0.1}),
]


def test_the_table_covers_every_schedule() -> None:
    assert {spec.name for spec, _ in BY_HAND} == set(SCHEDULES)


@pytest.mark.parametrize(("spec", "expected"), BY_HAND, ids=lambda value: str(value)[:60])
def test_values_by_hand(spec: WarmedUp, expected: dict[float, float]) -> None:
    assert _rates(spec, list(expected)) == pytest.approx(list(expected.values()), rel=1e-12, abs=1e-17)


@pytest.mark.parametrize(
    ("spec", "oracle"),
    [
        (Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        (Exponential(gamma=0.7), lambda o: lr_scheduler.ExponentialLR(o, 0.7 ** (1 / STEPS_PER_EPOCH))),
        (
            Exponential(gamma=0.7, staircase=True, decay_epochs=2.0),
            lambda o: lr_scheduler.StepLR(o, 2 * STEPS_PER_EPOCH, 0.7),
        ),
        (Cosine(alpha=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=0.1 * LR)),
        (
            Constant(warmup_epochs=2),
            lambda o: lr_scheduler.LinearLR(o, 1 / (2 * STEPS_PER_EPOCH), 1.0, 2 * STEPS_PER_EPOCH - 1),
        ),
        (
            Cosine(warmup_epochs=2),
            lambda o: lr_scheduler.SequentialLR(
                o,
                [
                    lr_scheduler.LinearLR(o, 1 / (2 * STEPS_PER_EPOCH), 1.0, 2 * STEPS_PER_EPOCH - 1),
                    lr_scheduler.CosineAnnealingLR(o, TOTAL - 2 * STEPS_PER_EPOCH),
                ],
                [2 * STEPS_PER_EPOCH],
            ),
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_every_step_is_torchs(spec: WarmedUp, oracle: Any) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = oracle(optimizer)
    expected = []
    for _ in range(TOTAL):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert _rates(spec, range(TOTAL)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.5, 0.49, 0.4, 0.3, 0.31, 0.2, 0.6, float("nan")]), max_size=30),
    monitor=st.sampled_from(sorted(MODES)),
    factor=st.sampled_from([0.5, 0.1, 0.9]),
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0.0, 0.05]),
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.03]),
)
def test_performance_is_torchs_reduce_on_plateau(
    values: list[float],
    monitor: Any,
    factor: float,
    patience: int,
    min_delta: float,
    cooldown: int,
    min_lr: float,
) -> None:
    spec = Performance(
        monitor=monitor,
        factor=factor,
        patience=patience,
        min_delta=min_delta,
        cooldown=cooldown,
        min_lr=min_lr,
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer,
        MODES[monitor],
        factor=factor,
        patience=patience,
        threshold=min_delta,
        threshold_mode="abs",
        cooldown=cooldown,
        min_lr=min_lr,
        eps=0.0,
    )
    history: dict[str, list[float]] = {metric: [] for metric in MODES}
    for epoch, value in enumerate([*values, 0.0]):
        first, last = epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH - 1
        rates = learning_rates(spec, np.array([first, last], dtype=np.float64), _progress(history))
        assert rates.tolist() == pytest.approx([optimizer.param_groups[0]["lr"]] * 2, rel=1e-12)
        history[monitor].append(value)
        scheduler.step(value)


def test_performance_by_hand() -> None:
    spec = Performance(factor=0.1, patience=1, min_delta=0.1, cooldown=1, min_lr=0.002)
    #  1.0 best; 0.95 too little (1); 0.95 (2 > 1): reduced; 0.95 cooling; 0.95 (1); 0.95 (2): reduced; ...
    losses = [1.0, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.5, 0.5, 0.5]
    expected = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.002, 0.002, 0.002, 0.002, 0.002]
    found = []
    for epoch in range(len(losses) + 1):
        history = {"validation_loss": losses[:epoch]}
        found.append(SCHEDULES["performance"](spec, np.zeros(1), _progress(history))[0])
    assert found == pytest.approx(expected)


def test_a_floor_above_the_learning_rate_does_not_raise_it() -> None:
    spec = Performance(factor=0.5, patience=0, min_lr=1.0)
    history = {"validation_loss": [1.0, 1.0, 1.0]}
    assert SCHEDULES["performance"](spec, np.zeros(1), _progress(history)).tolist() == [LR]


warmups = st.floats(0, 7.9)
schedules = st.one_of(
    st.builds(Constant, warmup_epochs=warmups),
    st.builds(
        Exponential,
        warmup_epochs=warmups,
        gamma=st.floats(1e-300, 1),
        decay_epochs=st.floats(1e-300, 1e6),
        staircase=st.booleans(),
    ),
    st.builds(
        Cosine,
        warmup_epochs=warmups,
        alpha=st.floats(0, 1),
        decay_epochs=st.one_of(st.none(), st.floats(1e-300, 1e6)),
    ),
    st.builds(
        Performance,
        warmup_epochs=warmups,
        monitor=st.sampled_from(sorted(MODES)),
        factor=st.floats(1e-6, 0.999),
        patience=st.integers(0, 5),
        min_delta=st.floats(0, 1),
        cooldown=st.integers(0, 5),
        min_lr=st.floats(0, 1),
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    spec=schedules,
    lr=st.floats(1e-12, 1e6),
    history=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=12),
)
def test_rates_are_finite_between_0_and_the_learning_rate_and_warm_up_rises(
    spec: WarmedUp, lr: float, history: list[float]
) -> None:
    progress = _progress(dict.fromkeys(MODES, history), lr)
    steps = np.arange(2 * TOTAL, dtype=np.float64)
    rates = learning_rates(spec, steps, progress)
    assert rates.shape == steps.shape
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert (rates <= lr * (1 + 1e-9)).all()
    warmup_steps = round(spec.warmup_epochs * STEPS_PER_EPOCH)
    assert (np.diff(rates[:warmup_steps]) > 0).all()
    # The same step has the same rate whatever other steps are asked for with it.
    assert rates[7] == learning_rates(spec, steps[7:8], progress)[0]
