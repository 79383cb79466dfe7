"""Stacks of several shapes: a member's rows and weights are those of a stack of its own, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from sessions import Died, Judge, dying_at, keep_all, train_plan
from variations import VARIATIONS

from raydnn.data.load import load_dataset
from raydnn.search import packing
from raydnn.search.packing import StackPlan, pack
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import architecture_of
from raydnn.training.verdict import Verdict

CPU = torch.device("cpu")
SOON = ("optimizer", "batch_norm", "mixed")
"""Axes that are tested every time."""
AXES = [axis for axis, variations in VARIATIONS.items() if not any("model" in each for each in variations)]
CLOCK = {"seconds", "examples_per_second", "attempt", "committed_at", "run_id", "stack"}


def _plan(trials: Sequence[TrialSpec], monkeypatch: pytest.MonkeyPatch) -> StackPlan:
    """One stack of trials of any shapes."""
    monkeypatch.setattr(packing, "FEW", len(trials) + 1)
    (plan,) = pack(trials, len(trials), share=lambda _: 0.0)
    return plan


def _train(run: Run, plan: StackPlan, judge: Judge = keep_all) -> None:
    train_plan(run, plan, judge, scheduler="asha")


def _rows(run: Run, table: str = "epochs") -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in read(run.location, table).to_pylist():
        rows = found.setdefault(row["trial_id"], [])
        rows.append({name: value for name, value in row.items() if name not in CLOCK})
    return found


@pytest.mark.parametrize(
    "axis", [pytest.param(axis, marks=[] if axis in SOON else [pytest.mark.slow]) for axis in AXES]
)
def test_every_variation_is_trained_as_alone(
    axis: str,
    make_trial: Callable[..., TrialSpec],
    fit: Callable[..., Any],
    new_run: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = [
        make_trial(**{**fields, "model": {"widths": [4 + k, 3][: 1 + k % 2]}})
        for k, fields in enumerate(VARIATIONS[axis])
    ]
    run = new_run()
    _train(run, _plan(trials, monkeypatch))
    for number, rows in enumerate(rows for _, rows in sorted(_rows(run).items())):
        (alone,) = fit([trials[number]])
        assert rows
        for row, wanted in zip(rows, alone.rows, strict=axis != "early_stopping"):
            assert {name: row[name] for name in wanted} == wanted


SHAPES: list[dict[str, Any]] = [
    {"widths": [16]},
    {"widths": [9, 5]},
    {"widths": [16]},
    {"name": "residual_mlp", "blocks": 1, "width": 4},
    {"name": "perceptron"},
    {"widths": [9, 5]},
    {"layers": 4, "width": 3},
]
OPTIMIZERS = ["adam", "sgd", "muon", "lion", "adamw", "rmsprop", "adagrad"]


@pytest.fixture
def trials(make_trial: Callable[..., TrialSpec]) -> list[TrialSpec]:
    """Of five shapes, two of which two members have."""
    return [
        make_trial(
            model=model,
            optimizer=optimizer,
            regularization={"dropout": 0.2, "prune": 0.3, "max_norm": 1.0},
            train={"diagnostics": True},
            seed=number % 2,
        )
        for number, (model, optimizer) in enumerate(zip(SHAPES, OPTIMIZERS, strict=True))
    ]


def _stop_some(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
    """Of one shape both members leave, of another one one."""
    return {m.number: Verdict(stop=m.number in (1, 2, 5), rung=0, bracket=0) for m in members if epoch == 1}


def test_members_leave_and_a_killed_stack_goes_on(
    trials: list[TrialSpec], new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(trials, monkeypatch)
    whole, killed = new_run("whole"), new_run("killed")
    _train(whole, plan, _stop_some)

    with pytest.raises(Died):
        _train(killed, plan, dying_at(2, _stop_some))
    _train(killed, plan)
    for table in ("epochs", "layers"):
        assert _rows(killed, table) == _rows(whole, table)
    assert [len(rows) for rows in _rows(whole).values()] == [
        1 if k in (1, 2, 5) else 3 for k in range(len(trials))
    ]
    dataset = load_dataset(trials[0].data).to(CPU)
    for run in (whole, killed):
        for row in read(run.location, "trials").to_pylist():
            layout = architecture_of(trials[row["number"]], dataset).layout
            assert (row["parameters"], row["strategy"]) == (layout.count, "by shape")
            if row["checkpoint"]:
                weights, _ = load_checkpoint(run.location / row["checkpoint"])
                assert {name: tuple(weights[name].shape) for name in layout.shapes} == dict(layout.shapes)


def test_a_member_is_read_back_as_alone(
    trials: list[TrialSpec], new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = new_run("together")
    _train(together, _plan(trials, monkeypatch))
    for number, trial in enumerate(trials):
        alone = new_run(f"alone-{number}")
        _train(alone, StackPlan(0, ((number, trial),)))
        (wanted,) = read(alone.location, "trials").to_pylist()
        found = {row["number"]: row for row in read(together.location, "trials").to_pylist()}[number]
        weights, of_alone = (
            load_checkpoint(run.location / row["checkpoint"])[0]
            for run, row in ((together, found), (alone, wanted))
        )
        for name, tensor in of_alone.items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-5, atol=1e-6)
        assert found["m_test_loss"] == pytest.approx(wanted["m_test_loss"], rel=1e-5)
