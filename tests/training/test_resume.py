"""A training that dies anywhere and is taken up again ends bit by bit where an uninterrupted one ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sessions import Died, DyingOs, dying_at, train_plan

from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.parts import DamagedFileWarning
from raydnn.store.read import read
from raydnn.store.run import Run, create_run
from raydnn.store.storage import files
from raydnn.training import record
from raydnn.training.checkpoint import TENSORS, load_checkpoint
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict

EPOCHS = 5
NOT_COMPARED = {
    *(
        "seconds",
        "examples_per_second",
        "started_at",
        "ended_at",
        "committed_at",
        "attempt",
        "attempts",
        "run_id",
    ),
    *("config_json", "config_hash", "p_train_checkpoint_every_epochs"),
}
"""Columns of time, of restarts, and of how often checkpoints are written."""


@pytest.fixture(scope="module")
def make_plan(make_trial: Callable[..., TrialSpec]) -> Callable[..., StackPlan]:
    """Members that end early, late, by verdict, by divergence, with every kind of state to be saved."""

    def make(every: int = 1) -> StackPlan:
        def trial(*, train: Mapping[str, Any] | None = None, **fields: Any) -> TrialSpec:
            train = {"epochs": EPOCHS, "checkpoint_every_epochs": every, **(train or {})}
            return make_trial(train=train, loss="mse", **fields)

        sgd = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
        members = [
            trial(
                optimizer=sgd,
                regularization={"dropout": 0.3},
                schedule={"name": "performance", "patience": 0},
                train={"diagnostics": True},
            ),
            trial(
                optimizer={"name": "adam", "lr": 1.0},
                train={
                    "early_stopping": {"monitor": "validation_accuracy", "patience": 1},
                    "diagnostics": True,
                },
                seed=4,
            ),
            trial(optimizer="adamw", seed=2),
            trial(optimizer={"name": "sgd", "lr": 1e6}, activation="linear"),
            trial(optimizer={**sgd, "nesterov": True}, schedule="cosine", train={"clip": "norm"}, seed=2),
        ]
        return StackPlan(0, tuple(enumerate(members)))

    return make


def _judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
    return {m.number: Verdict(m.number == 2, 0) for m in members} if epoch == 2 else {}


def _outcome(run: Run) -> dict[str, Any]:
    """All that must not depend on crashes; floats as their exact texts, so that NaN equals NaN."""
    tables = {}
    for table in ("epochs", "trials", "layers"):
        rows = read(run.location, table).to_pylist()
        tables[table] = [{k: repr(v) for k, v in row.items() if k not in NOT_COMPARED} for row in rows]
    weights = {}
    for row in read(run.location, "trials").to_pylist():
        if row["checkpoint"]:
            tensors, _ = load_checkpoint(run.location / "checkpoints" / row["trial_id"])
            weights[row["trial_id"]] = {name: t.numpy().tobytes() for name, t in tensors.items()}
    left = sorted(path.name for path in run.local_path("checkpoints").iterdir())
    return {**tables, "weights": weights, "checkpoints": left}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, make_plan: Callable[..., StackPlan]) -> dict[str, Any]:
    """What an uninterrupted run leaves."""
    resolved = {"metric": "validation_loss", "mode": "min"}
    run = create_run(str(tmp_path_factory.mktemp("whole")), "whole", "", resolved)
    train_plan(run, make_plan(), _judge, scheduler="asha")
    outcome = _outcome(run)
    assert [row["state"] for row in outcome["trials"]] == [
        repr(state) for state in ("COMPLETED", "COMPLETED", "STOPPED", "DIVERGED", "COMPLETED")
    ]
    assert outcome["trials"][1]["stop_reason"] == "'early_stopping'"
    assert len(outcome["epochs"]) < 4 * EPOCHS
    watched = [row for row in outcome["epochs"] if row["trial_id"] in ("'t00000'", "'t00001'")]
    assert len(outcome["layers"]) == 3 * len(watched)
    return outcome


@pytest.mark.parametrize("every", [1, 2, 0])
@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_dying_between_the_commit_and_the_verdict(
    new_run: Callable[..., Run],
    make_plan: Callable[..., StackPlan],
    expected: dict[str, Any],
    epoch: int,
    every: int,
) -> None:
    run, plan = new_run(), make_plan(every)
    with pytest.raises(Died):
        train_plan(run, plan, dying_at(epoch, _judge), scheduler="asha")
    train_plan(run, plan, _judge, scheduler="asha")
    assert _outcome(run) == expected


@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_dying_between_the_commit_and_the_checkpoint(
    new_run: Callable[..., Run],
    make_plan: Callable[..., StackPlan],
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
) -> None:
    run, plan = new_run(), make_plan()
    save = record.save_stack_checkpoint

    def die(folder: Any, at: int, *rest: Any) -> None:
        if at == epoch:
            raise Died
        save(folder, at, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(record, "save_stack_checkpoint", die)
        with pytest.raises(Died):
            train_plan(run, plan, _judge, scheduler="asha")
    train_plan(run, plan, _judge, scheduler="asha")
    assert _outcome(run) == expected


def test_dying_again_and_again(
    new_run: Callable[..., Run], make_plan: Callable[..., StackPlan], expected: dict[str, Any]
) -> None:
    run, plan = new_run(), make_plan()
    for target in range(1, EPOCHS + 1):
        # Each attempt gets one epoch further than the one before.
        with pytest.raises(Died):
            train_plan(run, plan, dying_at(target, _judge), scheduler="asha")
    train_plan(run, plan, _judge, scheduler="asha")
    assert _outcome(run) == expected
    attempts = {row["epoch"]: row["attempt"] for row in read(run.location, "epochs").to_pylist()}
    assert attempts == {epoch: epoch for epoch in range(1, EPOCHS + 1)}


def test_dying_at_any_change_of_the_disk(
    new_run: Callable[..., Run],
    make_plan: Callable[..., StackPlan],
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan()
    died = True
    lives = 0
    while died:
        run = new_run(f"dying-{lives}")
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", DyingOs(lives))
            try:
                train_plan(run, plan, _judge, scheduler="asha")
                died = False
            except Died:
                pass
        if died:
            # What killed it may have come after the last member's end: then nothing is left to train.
            states = {row["state"] for row in read(run.location, "trials").to_pylist()}
            if not states or "RUNNING" in states:
                train_plan(run, plan, _judge, scheduler="asha")
            found, whole = _outcome(run), dict(expected)
            for outcome in (found, whole):
                outcome["checkpoints"] = [name for name in outcome["checkpoints"] if name.startswith("t")]
            assert found == whole
        lives += 29
    assert lives > 200


def test_a_damaged_checkpoint_is_named_and_training_starts_over(
    new_run: Callable[..., Run], make_plan: Callable[..., StackPlan], expected: dict[str, Any]
) -> None:
    run, plan = new_run(), make_plan()
    with pytest.raises(Died):
        train_plan(run, plan, dying_at(3, _judge), scheduler="asha")
    path = Path(run.local_path("checkpoints", "stack-00000", "epoch-000003", TENSORS))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.warns(DamagedFileWarning, match="epoch-000003 is damaged: tensors.safetensors"):
        train_plan(run, plan, _judge, scheduler="asha")
    assert _outcome(run) == expected
    assert {row["attempt"] for row in read(run.location, "epochs").to_pylist()} == {2}
