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
from pydantic import ValidationError
from torch.optim import lr_scheduler

from raydnn.optim.schedules import SCHEDULES, TrainingTime, learning_rates, momenta, with_cycled_momentum
from raydnn.spec.axes.adaptive import Adagrad, Adam
from raydnn.spec.axes.optimizer import Muon, Sgd
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
from raydnn.spec.metrics import MODES
from raydnn.spec.train import EarlyStopping
from raydnn.training.stack.early_stopping import should_stop

LR = 0.1
STEPS_PER_EPOCH = 10
EPOCHS = 8
TOTAL = STEPS_PER_EPOCH * EPOCHS


def _progress(history: Mapping[str, Sequence[float]] | None = None, lr: float = LR) -> TrainingTime:
    return TrainingTime(lr, STEPS_PER_EPOCH, TOTAL, history or {metric: [] for metric in MODES})


def _rates(spec: WarmedUp, steps: Sequence[float]) -> list[float]:
    return learning_rates(spec, np.array(steps, dtype=np.float64), _progress()).tolist()


def _torchs_one_cycle(optimizer: torch.optim.Optimizer, anneal: Any, rise: float) -> lr_scheduler.LRScheduler:
    """torch's policy with the defaults of `one_cycle`: low 0.1, final 1e-4, momentum from 0.95 to 0.85."""
    return lr_scheduler.OneCycleLR(
        optimizer,
        LR,
        TOTAL,
        pct_start=rise,
        anneal_strategy=anneal,
        div_factor=10,
        final_div_factor=1e3,
        three_phase=True,
    )


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
    (
        Annealing(beta=0.2),
        {0: 0.1, 9: 0.1, 10: 0.08, 19: 0.08, 20: 0.064, 80: 0.1 * 0.8**8, 100: 0.1 * 0.8**10},
    ),
    (Annealing(beta=0.2, per="step"), {0: 0.1, 1: 0.08, 2: 0.064, 80: 0.1 * 0.8**80}),
    (Annealing(beta=0.0), {0: 0.1, 80: 0.1}),
    (Annealing(beta=0.5, warmup_epochs=0.5), {0: 0.02, 4: 0.1, 14: 0.1, 15: 0.05, 25: 0.025}),
    (
        Piecewise(boundaries_epochs=(2.0, 3.5), factors=(0.5, 0.2)),
        {0: 0.1, 19: 0.1, 20: 0.05, 34: 0.05, 35: 0.02, 80: 0.02, 500: 0.02},
    ),
    (Piecewise(boundaries_epochs=(1.0,), factors=(3.0,)), {0: 0.1, 9: 0.1, 10: 0.3}),
    (Piecewise(warmup_epochs=1), {0: 0.01, 9: 0.1, 59: 0.1, 60: 0.01, 89: 0.01, 90: 0.001}),
    (Power(), {0: 0.1, 5: 0.1 / 1.5, 10: 0.05, 30: 0.025, 80: 0.1 / 9, 90: 0.01}),
    (Power(gamma=3.0, exponent=0.5), {0: 0.1, 10: 0.05, 50: 0.025}),
    (Power(gamma=3.0, decay_epochs=2.0, exponent=2.0), {0: 0.1, 20: 0.1 / 16}),
    (Power(gamma=0.0), {0: 0.1, 80: 0.1}),
    (Polynomial(), {0: 0.1, 20: 0.075, 40: 0.05, 60: 0.025, 80: 0.0, 200: 0.0}),
    (Polynomial(exponent=2.0, alpha=0.2), {0: 0.1, 40: 0.08 / 4 + 0.02, 80: 0.02, 200: 0.02}),
    (Polynomial(decay_epochs=2.0, alpha=0.1), {0: 0.1, 10: 0.055, 20: 0.01, 80: 0.01}),
    (
        # s is 20, then 40, 60, 80: η falls to 0, begins again at a half, two thirds, ... of the way up.
        Polynomial(decay_epochs=2.0, cycle=True),
        {
            0: 0.1,
            10: 0.05,
            20: 0.0,
            21: 0.1 * 19 / 40,
            30: 0.025,
            40: 0.0,
            45: 0.025,
            60: 0.0,
            80: 0.0,
            90: 0.01,
        },
    ),
    (Polynomial(warmup_epochs=4), {0: 0.0025, 39: 0.1, 40: 0.1, 60: 0.05, 80: 0.0}),
    (
        # Cycles of 10, 20 and 40 steps begin at 0, 10, 30 and 70.
        CosineRestarts(),
        {0: 0.1, 5: 0.05, 10: 0.05, 20: 0.025, 30: 0.025, 50: 0.0125, 70: 0.0125, 110: 0.00625, 150: 0.00625},
    ),
    (
        CosineRestarts(alpha=0.2, m_mul=0.5),
        {0: 0.1, 5: 0.06, 10: 0.06, 20: 0.04, 30: 0.04, 29.999999: 0.02},
    ),
    (CosineRestarts(t_mul=1.0, m_mul=1.0), {0: 0.1, 5: 0.05, 10: 0.1, 15: 0.05, 70: 0.1, 1005: 0.05}),
    (CosineRestarts(cycle_epochs=2.5, t_mul=1.0, m_mul=0.9), {0: 0.1, 25: 0.09, 50: 0.081, 75: 0.0729}),
    (CosineRestarts(warmup_epochs=1), {0: 0.01, 9: 0.1, 10: 0.1, 15: 0.05, 20: 0.05}),
    (
        # Up in 36 steps (0 to 35), back in 35 (to 70), down in the last 9 (to 79).
        OneCycle(),
        {0: 0.01, 7: 0.028, 35: 0.1, 42: 0.082, 70: 0.01, 73: 0.00667, 79: 1e-5, 80: 1e-5, 500: 1e-5},
    ),
    (
        OneCycle(anneal="cosine", rise=0.3, low=0.2, final=0.0),
        {0: 0.02, 11.5: 0.06, 23: 0.1, 34.5: 0.06, 46: 0.02, 62.5: 0.01, 79: 0.0, 90: 0.0},
    ),
    (OneCycle(rise=0.5, low=0.1, final=0.0), {0: 0.01, 39: 0.1, 78: 0.01, 79: 0.0}),
    (OneCycle(warmup_epochs=3), {0: 0.01 / 30, 29: 0.01, 30: 0.01, 51.5: 0.1, 73: 0.01, 79: 1e-5}),
    (Wsd(), {0: 0.1, 63: 0.1, 64: 0.1, 68: 0.075, 72: 0.05, 80: 0.0, 200: 0.0}),
    (Wsd(anneal="sqrt", alpha=0.1), {0: 0.1, 64: 0.1, 68: 0.055, 73: 0.0325, 80: 0.01, 81: 0.01}),
    (Wsd(anneal="cosine", decay_share=0.5), {0: 0.1, 40: 0.1, 50: 0.05 * (1 + sqrt(0.5)), 60: 0.05, 80: 0.0}),
    (Wsd(decay_share=1.0), {0: 0.1, 40: 0.05, 80: 0.0}),
    (Wsd(decay_share=0.5, warmup_epochs=4), {0: 0.0025, 39: 0.1, 59: 0.1, 60: 0.1, 70: 0.05, 80: 0.0}),
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
        (Annealing(beta=0.3), lambda o: lr_scheduler.StepLR(o, STEPS_PER_EPOCH, 0.7)),
        (Annealing(beta=0.01, per="step"), lambda o: lr_scheduler.ExponentialLR(o, 0.99)),
        (
            Piecewise(boundaries_epochs=(2.0, 5.0), factors=(0.1, 0.01)),
            lambda o: lr_scheduler.MultiStepLR(o, [2 * STEPS_PER_EPOCH, 5 * STEPS_PER_EPOCH], 0.1),
        ),
        (
            Power(gamma=0.5, exponent=0.7),
            lambda o: lr_scheduler.LambdaLR(o, lambda t: (1 + 0.05 * t) ** -0.7),
        ),
        (Polynomial(exponent=1.5), lambda o: lr_scheduler.PolynomialLR(o, TOTAL, 1.5)),
        (
            CosineRestarts(m_mul=1.0, alpha=0.1),
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, STEPS_PER_EPOCH, 2, eta_min=0.1 * LR),
        ),
        (OneCycle(anneal="cosine"), lambda o: _torchs_one_cycle(o, "cos", 0.45)),
        (OneCycle(rise=0.3), lambda o: _torchs_one_cycle(o, "linear", 0.3)),
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
    ids=lambda value: str(value)[:50] if isinstance(value, WarmedUp) else "torch",
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


@pytest.mark.parametrize(("anneal", "torchs", "rise"), [("linear", "linear", 0.45), ("cosine", "cos", 0.3)])
def test_the_momentum_of_one_cycle_is_torchs(anneal: Any, torchs: str, rise: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    scheduler = _torchs_one_cycle(optimizer, torchs, rise)
    expected = []
    for _ in range(TOTAL):
        expected.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    found = momenta(OneCycle(anneal=anneal, rise=rise), np.arange(TOTAL, dtype=np.float64), _progress())
    assert found is not None
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_the_momentum_of_one_cycle_by_hand() -> None:
    steps = np.array([0, 10, 51.5, 73, 79, 200], dtype=np.float64) - np.array([0, 0, 16.5, 3, 0, 0])
    found = momenta(OneCycle(), steps, _progress())
    assert found is not None
    assert found.tolist() == pytest.approx([0.95, 0.95 - 1 / 35, 0.85, 0.95, 0.95, 0.95])
    warmed_up = momenta(OneCycle(warmup_epochs=3), np.array([0.0, 29, 30, 51.5, 73]), _progress())
    assert warmed_up is not None
    assert warmed_up.tolist() == pytest.approx([0.95, 0.95, 0.95, 0.85, 0.95])


@pytest.mark.parametrize("spec", [Constant(), Cosine(), OneCycle(cycle_momentum=False)], ids=str)
def test_other_schedules_leave_the_momentum_to_the_optimizer(spec: WarmedUp) -> None:
    assert momenta(spec, np.zeros(3), _progress()) is None
    assert with_cycled_momentum(Sgd(), spec) == Sgd()


def test_a_cycled_momentum_is_the_adam_familys_beta1() -> None:
    spec = OneCycle(momentum_high=0.93, momentum_low=0.8)
    assert with_cycled_momentum(Sgd(lr=0.3), spec) == Sgd(lr=0.3, momentum=0.93)
    assert with_cycled_momentum(Adam(), spec) == Adam(beta1=0.93)
    assert with_cycled_momentum(Muon(), spec) == Muon(momentum=0.93)
    assert with_cycled_momentum(Adagrad(), spec) == Adagrad()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"boundaries_epochs": [1.0, 2.0], "factors": [0.1]}, "2 boundaries_epochs and 1 factors"),
        ({"boundaries_epochs": [2.0, 2.0], "factors": [0.1, 0.1]}, "each above the one before"),
        ({"boundaries_epochs": [2.0, 1.0], "factors": [0.1, 0.1]}, "each above the one before"),
        ({"boundaries_epochs": [], "factors": []}, "boundaries_epochs"),
        ({"boundaries_epochs": [0.0, 1.0]}, "greater than 0"),
        ({"factors": [0.1, -0.1]}, "greater than 0"),
    ],
)
def test_boundaries_and_factors_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Piecewise.model_validate(fields)


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
def test_performance_is_torchs_reduce_on_plateau_an_epoch_earlier(
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
        # torch waits for one more; it takes a bad epoch to fall.
        patience=max(patience, 1) - 1,
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
    spec = Performance(factor=0.1, patience=2, min_delta=0.1, cooldown=1, min_lr=0.002)
    #  1.0 best; 0.95 too little (1); 0.95 (2): reduced; 0.95 cooling; 0.95 (1); 0.95 (2): reduced; ...
    losses = [1.0, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.5, 0.5, 0.5]
    expected = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.002, 0.002, 0.002, 0.002, 0.002]
    found = []
    for epoch in range(len(losses) + 1):
        history = {"validation_loss": losses[:epoch]}
        found.append(SCHEDULES["performance"](spec, np.zeros(1), _progress(history))[0])
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_performance_falls_when_early_stopping_of_the_same_patience_stops(patience: int) -> None:
    values = [0.9, *[1.0] * 8]
    falls = next(
        epoch
        for epoch in range(1, len(values))
        if SCHEDULES["performance"](
            Performance(patience=patience), np.zeros(1), _progress({"validation_loss": values[:epoch]})
        )[0]
        < LR
    )
    stops = next(
        epoch
        for epoch in range(1, len(values))
        if should_stop(EarlyStopping(patience=patience), values[:epoch])
    )
    assert falls == stops == 1 + patience


@pytest.mark.parametrize(("warmup_epochs", "first_counted"), [(3.0, 4), (2.5, 4), (0.5, 2)])
def test_a_plateau_of_the_warm_up_is_none(warmup_epochs: float, first_counted: int) -> None:
    """Nothing ever improves: the ramp stays a line, and its end is followed by one best and one bad epoch."""
    spec = Performance(factor=0.5, patience=1, warmup_epochs=warmup_epochs)
    warmup_steps = round(warmup_epochs * STEPS_PER_EPOCH)
    for epoch in range(first_counted + 1):
        steps = np.arange(epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH, dtype=np.float64)
        rates = learning_rates(spec, steps, _progress({"validation_loss": [1.0] * epoch}))
        assert rates == pytest.approx(LR * np.minimum((steps + 1) / warmup_steps, 1.0))
    fallen = _progress({"validation_loss": [1.0] * (first_counted + 1)})
    assert learning_rates(spec, np.array([(first_counted + 1.0) * STEPS_PER_EPOCH]), fallen).tolist() == [
        LR / 2
    ]


def test_a_floor_above_the_learning_rate_does_not_raise_it() -> None:
    spec = Performance(factor=0.5, patience=0, min_lr=1.0)
    history = {"validation_loss": [1.0, 1.0, 1.0]}
    assert SCHEDULES["performance"](spec, np.zeros(1), _progress(history)).tolist() == [LR]


warmups = st.floats(0, 7.9)
lengths = st.one_of(st.none(), st.floats(1e-300, 1e6))
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
        Annealing, warmup_epochs=warmups, beta=st.floats(0, 0.999), per=st.sampled_from(["epoch", "step"])
    ),
    st.builds(
        lambda boundaries, factors, warmup_epochs: Piecewise(
            boundaries_epochs=tuple(sorted(boundaries)),
            factors=tuple(factors[: len(boundaries)]),
            warmup_epochs=warmup_epochs,
        ),
        warmup_epochs=warmups,
        boundaries=st.sets(st.floats(1e-300, 100), min_size=1, max_size=5),
        factors=st.lists(st.floats(1e-300, 1), min_size=5, max_size=5),
    ),
    st.builds(
        Power,
        warmup_epochs=warmups,
        gamma=st.floats(0, 1e6),
        decay_epochs=st.floats(1e-6, 1e6),
        exponent=st.floats(0, 10),
    ),
    st.builds(
        Polynomial,
        warmup_epochs=warmups,
        exponent=st.floats(1e-3, 10),
        alpha=st.floats(0, 1),
        decay_epochs=lengths,
        cycle=st.booleans(),
    ),
    st.builds(Cosine, warmup_epochs=warmups, alpha=st.floats(0, 1), decay_epochs=lengths),
    st.builds(
        CosineRestarts,
        warmup_epochs=warmups,
        cycle_epochs=st.floats(1e-300, 1e6),
        t_mul=st.floats(1, 10),
        m_mul=st.floats(1e-6, 1),
        alpha=st.floats(0, 1),
    ),
    st.builds(
        OneCycle,
        warmup_epochs=warmups,
        rise=st.floats(1e-6, 0.5),
        low=st.floats(1e-6, 1),
        final=st.floats(0, 1),
        anneal=st.sampled_from(["linear", "cosine"]),
    ),
    st.builds(
        Wsd,
        warmup_epochs=warmups,
        decay_share=st.floats(1e-6, 1),
        alpha=st.floats(0, 1),
        anneal=st.sampled_from(["linear", "cosine", "sqrt"]),
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
    momentum = momenta(spec, steps, progress)
    if momentum is not None:
        assert ((momentum >= 0.85 - 1e-9) & (momentum <= 0.95 + 1e-9)).all()
    # The same step has the same rate whatever other steps are asked for with it.
    assert rates[7] == learning_rates(spec, steps[7:8], progress)[0]


@settings(max_examples=100, deadline=None)
@given(
    spec=st.one_of(
        st.builds(Exponential, gamma=st.floats(0.3, 1), decay_epochs=st.floats(1, 10)),
        st.builds(Power, gamma=st.floats(0, 0.5), exponent=st.floats(0.5, 2)),
        st.builds(Polynomial, exponent=st.floats(1, 3), alpha=st.floats(0, 1)),
        st.builds(Cosine, alpha=st.floats(0, 1)),
        st.builds(OneCycle, rise=st.floats(0.2, 0.4), anneal=st.sampled_from(["linear", "cosine"])),
        st.builds(Wsd, decay_share=st.floats(0.2, 1), anneal=st.sampled_from(["linear", "cosine"])),
    )
)
def test_smooth_schedules_have_no_jumps(spec: WarmedUp) -> None:
    steps = np.arange(0, 1.5 * TOTAL, 0.01)
    changes = np.abs(np.diff(learning_rates(spec, steps, _progress())))
    # None goes from η₀ to 0 in less than 4 steps.
    assert changes.max() < LR * 0.01 / 4


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_shortest_trainings_have_rates(name: str, total: int) -> None:
    spec = next(spec for spec, _ in BY_HAND if spec.name == name)
    progress = TrainingTime(LR, 1, total, {metric: [] for metric in MODES})
    rates = learning_rates(spec, np.arange(total + 2, dtype=np.float64), progress)
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
