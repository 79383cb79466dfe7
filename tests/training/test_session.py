"""A session: what is committed, who ends when and why, which weights are kept, what a failure leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raydnn.data.inputs import Inputs
from raydnn.data.load import load_dataset
from raydnn.nn.gradients import by_autograd
from raydnn.nn.losses import LOSSES
from raydnn.nn.models.mlp import mlp
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training import record
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Judge, Verdict
from raydnn.training.workers import Workers

CPU = torch.device("cpu")

MakeTrial = Callable[..., TrialSpec]
NewRun = Callable[..., Run]


def _go_on(_epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
    return {}


def _run(run: Run, trials: Sequence[TrialSpec], judge: Judge = _go_on, number: int = 0) -> list[Member]:
    plan = StackPlan(number, tuple(enumerate(trials)))
    return run_stack(run, plan, scheduler="asha", judge=judge, workers=Workers(), device=CPU)


def _exit_at(target: int) -> Judge:
    """A judge before whose verdict at one epoch the process ends."""

    def judge(epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
        if epoch == target:
            raise SystemExit
        return {}

    return judge


def _trials(run: Run) -> dict[int, dict[str, Any]]:
    return {row["number"]: row for row in read(run.location, "trials").to_pylist()}


def _epochs(run: Run, number: int) -> list[dict[str, Any]]:
    rows = read(run.location, "epochs").to_pylist()
    return [row for row in rows if row["trial_id"] == f"t{number:05d}"]


def _test_metrics(trial: TrialSpec, parameters: dict[str, torch.Tensor]) -> tuple[float, float | None]:
    """Loss and accuracy on the test part, from a member's saved parameters."""
    dataset = load_dataset(trial.data).to(CPU)
    assert dataset.test is not None
    network = mlp(trial, Inputs((dataset.features[0],)), dataset.outputs)
    layout = network.layout
    row = torch.zeros(1, layout.size)
    for name, view in layout.views(row).items():
        view[0] = parameters[name]
    with torch.no_grad():
        outputs = network.module(row, [trial])(dataset.test.inputs)
    loss = LOSSES[trial.loss.name](outputs, dataset.test.targets).mean().item()
    if dataset.classes == 0:
        return loss, None
    return loss, (outputs[0].argmax(1) == dataset.test.targets).double().mean().item()


def test_everything_is_committed(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    spec = make_trial(schedule={"name": "exponential", "gamma": 0.5})
    (member,) = _run(run, [spec])
    assert (member.state, member.stop_reason, member.epochs) == ("COMPLETED", "epochs", 3)
    rows = _epochs(run, 0)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["step"] for row in rows] == [8, 16, 24]
    assert [row["lr"] for row in rows] == pytest.approx([0.05 * 0.5 ** (s / 8) for s in (7, 15, 23)])
    assert all(row["attempt"] == 1 and row["seconds"] > 0 and row["grad_norm"] > 0 for row in rows)
    trial = _trials(run)[0]
    losses = [row["validation_loss"] for row in rows]
    assert trial["state"] == "COMPLETED"
    assert trial["epochs"] == 3
    assert trial["attempts"] == 1
    assert trial["best_value"] == min(losses)
    assert trial["best_epoch"] == losses.index(min(losses)) + 1
    for metric in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        column = [row[metric] for row in rows]
        assert trial[f"m_final_{metric}"] == column[-1]
        assert trial[f"m_best_{metric}"] == (min if metric.endswith("loss") else max)(column)
    assert trial["parameters"] == 6 * 8 + 8 + 8 * 7 + 7 + 7 * 3 + 3
    assert trial["seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    assert trial["started_at"] < trial["ended_at"]
    assert trial["checkpoint"] == "checkpoints/t00000"
    tensors, facts = load_checkpoint(run.location / "checkpoints" / "t00000")
    assert Member.from_json(facts["member"]).spec == spec
    assert (trial["m_test_loss"], trial["m_test_accuracy"]) == pytest.approx(_test_metrics(spec, tensors))
    assert not run.local_path("checkpoints", "stack-00000").exists()


def test_rows_are_committed_before_the_judge_is_asked(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    seen = []

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
        seen.append((epoch, [row["epoch"] for row in _epochs(run, 0)], _trials(run)[0]["state"]))
        assert members[0].history["validation_loss"][-1] == _epochs(run, 0)[-1]["validation_loss"]
        return {}

    _run(run, [make_trial()], judge)
    assert seen == [(1, [1], "RUNNING"), (2, [1, 2], "RUNNING"), (3, [1, 2, 3], "RUNNING")]


@pytest.mark.parametrize("dies", [False, True])
def test_a_small_gradient_stops_the_member_it_belongs_to(
    make_trial: MakeTrial, new_run: NewRun, dies: bool
) -> None:
    """Also where the process dies after the last epoch's commit, before it was acted on."""

    def trial(**stopping: Any) -> TrialSpec:
        stopping = {"patience": 40, "restore_best": False, **stopping}
        return make_trial(
            loss="mse", train={"epochs": 12, "batch_size": "full", "early_stopping": stopping}, seed=2
        )

    whole = new_run("whole")
    _run(whole, [trial()])
    norms = [row["grad_norm"] for row in _epochs(whole, 0)]
    assert norms == sorted(norms, reverse=True)
    run = new_run("stopped")
    trials = [trial(min_grad_norm=(norms[4] + norms[5]) / 2), trial()]
    if dies:
        with pytest.raises(SystemExit):
            _run(run, trials, _exit_at(6))
    stopped, went_on = _run(run, trials)
    assert (stopped.state, stopped.stop_reason, stopped.epochs) == ("COMPLETED", "min_grad_norm", 6)
    assert (went_on.stop_reason, went_on.epochs) == ("epochs", 12)
    assert [row["grad_norm"] for row in _epochs(run, 0)] == norms[:6]


@pytest.mark.parametrize("restore_best", [True, False])
def test_early_stopping_ends_with_the_weights_of_the_best_epoch(
    make_trial: MakeTrial, new_run: NewRun, fit: Callable[..., Any], restore_best: bool
) -> None:
    run = new_run()
    stopping = {"monitor": "validation_loss", "patience": 3, "restore_best": restore_best}
    wild = make_trial(optimizer={"name": "adam", "lr": 0.3}, train={"epochs": 40, "early_stopping": stopping})
    calm = make_trial(train={"epochs": 40})
    stopped, went_on = _run(run, [wild, calm])
    losses = [row["validation_loss"] for row in _epochs(run, 0)]
    best = losses.index(min(losses)) + 1
    assert (stopped.state, stopped.stop_reason) == ("COMPLETED", "early_stopping")
    assert stopped.epochs == len(losses) == best + 3 < 40
    assert (went_on.state, went_on.epochs) == ("COMPLETED", 40)
    kept = best if restore_best else best + 3
    until = wild.model_copy(update={"train": wild.train.model_copy(update={"epochs": kept})})
    (expected,) = fit([until])
    tensors, _ = load_checkpoint(run.location / "checkpoints" / "t00000")
    network = mlp(wild, Inputs((6,)), 3)
    layout = network.layout
    for name, view in layout.views(expected.parameters.unsqueeze(0)).items():
        torch.testing.assert_close(tensors[name], view[0], rtol=1e-4, atol=1e-5)
    row = _trials(run)[0]
    assert (row["m_test_loss"], row["m_test_accuracy"]) == pytest.approx(_test_metrics(wild, tensors))
    assert row["m_final_validation_loss"] == losses[-1]
    assert (row["best_epoch"], row["best_value"]) == (best, losses[best - 1])


OVERFITS = {"optimizer": {"name": "adam", "lr": 0.5}, "seed": 3}


@pytest.mark.parametrize(
    "stopping",
    [None, {"patience": 30}, {"monitor": "train_loss", "patience": 30}],
    ids=["none", "same", "other"],
)
@pytest.mark.parametrize(("metric", "mode"), [("validation_loss", "min"), ("validation_accuracy", "max")])
def test_the_weights_are_those_of_the_epoch_by_which_a_trial_is_ranked(
    make_trial: MakeTrial, new_run: NewRun, stopping: Any, metric: str, mode: str
) -> None:
    """Whatever stops it, and whoever is trained beside it."""
    run = new_run(metric=metric, mode=mode)
    trials = [
        make_trial(train={"epochs": 9, "early_stopping": stopping}, **OVERFITS),
        make_trial(train={"epochs": 9}),
    ]
    members = _run(run, trials)
    for number, trial in enumerate(trials):
        row = _trials(run)[number]
        column = [each[metric] for each in _epochs(run, number)]
        assert row["best_value"] == (min if mode == "min" else max)(column)
        assert row["best_epoch"] == column.index(row["best_value"]) + 1
        until = trial.model_copy(
            update={"train": trial.train.model_copy(update={"epochs": row["best_epoch"]})}
        )
        apart = new_run(f"alone-{number}", metric=metric, mode=mode)
        (alone,) = _run(apart, [until])
        assert alone.test == pytest.approx(members[number].test, rel=1e-4)
        tensors, _ = load_checkpoint(run.location / row["checkpoint"])
        expected, _ = load_checkpoint(apart.location / "checkpoints" / "t00000")
        for name, tensor in expected.items():
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-4, atol=1e-5)
    assert _trials(run)[0]["best_epoch"] < 9


@pytest.mark.parametrize("every", [1, 2])
def test_after_a_kill_the_best_weights_are_the_same(
    make_trial: MakeTrial, new_run: NewRun, every: int
) -> None:
    trials = [make_trial(train={"epochs": 9, "checkpoint_every_epochs": every}, **OVERFITS), make_trial()]
    whole, killed = new_run("whole"), new_run("killed")
    _run(whole, trials)
    with pytest.raises(SystemExit):
        _run(killed, trials, _exit_at(8))
    _run(killed, trials)
    rows = [_trials(run)[0] for run in (whole, killed)]
    assert rows[0]["best_epoch"] < 8
    assert rows[0]["m_test_loss"] == rows[1]["m_test_loss"]
    tensors = [load_checkpoint(run.location / "checkpoints" / "t00000")[0] for run in (whole, killed)]
    assert all(torch.equal(tensors[1][name], tensor) for name, tensor in tensors[0].items())


def test_what_diverges_later_keeps_its_best_weights(make_trial: MakeTrial, new_run: NewRun) -> None:
    schedule = {"name": "piecewise", "boundaries_epochs": [2], "factors": [1e30]}
    run = new_run()
    _run(run, [make_trial(loss="mse", schedule=schedule, train={"epochs": 5}), make_trial(loss="mse")])
    row = _trials(run)[0]
    assert (row["state"], row["epochs"], row["best_epoch"]) == ("DIVERGED", 3, 2)
    (alone,) = _run(new_run("alone"), [make_trial(loss="mse", train={"epochs": 2})])
    assert row["m_test_loss"] == pytest.approx(alone.test["loss"], rel=1e-4)
    assert row["checkpoint"] is not None


def test_a_regressions_losses_are_in_the_targets_unit(
    make_trial: MakeTrial, new_run: NewRun, tmp_path: Path
) -> None:
    """The same training on the same targets, once as they are and once in thousands with a shift."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(90, 4)).astype(np.float32)
    targets = inputs[:, 0] + 0.3 * rng.normal(size=90)
    targets = (targets - targets[30:].mean()) / targets[30:].std()
    for name, values in {"ones": targets, "thousands": 1000 * targets + 50_000}.items():
        np.savez(
            tmp_path / f"{name}.npz", inputs=inputs, targets=values, test_inputs=inputs, test_targets=values
        )
    for loss, unit in {"mse": 1e6, "mae": 1e3, "huber": 1e6, "log_cosh": 1.0}.items():
        found = []
        for name in ("ones", "thousands"):
            data = {
                "name": "npz",
                "path": str(tmp_path / f"{name}.npz"),
                "validation": 30,
                "kind": "regression",
            }
            run = new_run(f"{loss}-{name}")
            _run(run, [make_trial(data=data, loss=loss)])
            found.append(
                (
                    _epochs(run, 0),
                    _trials(run)[0],
                    load_checkpoint(run.location / "checkpoints" / "t00000")[1],
                )
            )
        (plain, plain_trial, plain_facts), (scaled, scaled_trial, facts) = found
        for column in ("train_loss", "validation_loss"):
            expected = [unit * row[column] for row in plain]
            assert [row[column] for row in scaled] == pytest.approx(expected, rel=1e-4)
        assert scaled_trial["m_test_loss"] == pytest.approx(unit * plain_trial["m_test_loss"], rel=1e-4)
        assert scaled_trial["best_value"] == min(row["validation_loss"] for row in scaled)
        assert facts["target_scale"] == {"mean": pytest.approx([50_000]), "deviation": pytest.approx([1000])}
        assert "target_scale" not in plain_facts


def test_verdicts_stop_members_and_give_rungs(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    asked = []

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
        asked.append((epoch, [member.number for member in members]))
        return {member.number: Verdict(member.number == epoch, epoch - 1) for member in members}

    members = _run(run, [make_trial(seed=seed) for seed in range(4)], judge)
    assert asked == [(1, [0, 1, 2, 3]), (2, [0, 2, 3]), (3, [0, 3])]
    assert [member.state for member in members] == ["COMPLETED", "STOPPED", "STOPPED", "COMPLETED"]
    rows = _trials(run)
    assert [rows[n]["stop_reason"] for n in range(4)] == ["epochs", "asha", "asha", "epochs"]
    assert [rows[n]["rung"] for n in range(4)] == [2, 0, 1, 2]
    assert [rows[n]["epochs"] for n in range(4)] == [3, 1, 2, 3] == [len(_epochs(run, n)) for n in range(4)]
    assert [rows[n]["checkpoint"] is None for n in range(4)] == [False, True, True, False]
    assert rows[1]["m_test_loss"] is None


def test_a_diverged_member_ends_at_once_and_is_never_judged(make_trial: MakeTrial, new_run: NewRun) -> None:
    run, calm_run = new_run(), new_run("calm")
    judged: set[int] = set()

    def judge(_epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
        judged.update(member.number for member in members)
        return {}

    wild = make_trial(loss="mse", activation="linear", optimizer={"name": "sgd", "lr": 1e6})
    trials = [make_trial(loss="mse", seed=1), wild, make_trial(loss="mse", optimizer="adam")]
    members = _run(run, trials, judge)
    assert [member.state for member in members] == ["COMPLETED", "DIVERGED", "COMPLETED"]
    assert judged == {0, 2}
    row = _trials(run)[1]
    assert row["stop_reason"] == "train_loss is not finite"
    assert (row["epochs"], row["best_value"], row["checkpoint"]) == (1, None, None)
    calm = wild.model_copy(update={"optimizer": wild.optimizer.model_copy(update={"lr": 1e-6})})
    _run(calm_run, [trials[0], calm, trials[2]])
    for number in (0, 2):
        found, expected = (
            [(row["train_loss"], row["validation_loss"], row["grad_norm"]) for row in _epochs(each, number)]
            for each in (run, calm_run)
        )
        assert found == [pytest.approx(row, rel=1e-6) for row in expected]


@pytest.mark.parametrize("every", [0, 1, 2])
def test_a_stack_that_gives_way_goes_on_as_if_it_had_not(
    make_trial: MakeTrial, new_run: NewRun, every: int
) -> None:
    """It leaves at rungs, where a member has diverged or is to stop, and again as soon as it is back."""
    train = {"epochs": 4, "checkpoint_every_epochs": every}
    wild = make_trial(loss="mse", activation="linear", optimizer={"name": "sgd", "lr": 1e6}, train=train)
    trials = [wild, *(make_trial(loss="mse", seed=seed, train=train) for seed in range(3))]

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
        rung = epoch - 1 if epoch in (1, 3) else None
        return {m.number: Verdict(rung is not None and m.number == epoch, rung, 5) for m in members}

    calls: list[int] = []

    def impatient(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict] | None:
        calls.append(epoch)
        return None if epoch in (1, 3) and calls.count(epoch) < 3 else judge(epoch, members)

    calm, run = new_run("calm"), new_run()
    expected = _run(calm, trials, judge)
    members = _run(run, trials, impatient)
    while any(member.running for member in members):
        members = _run(run, trials, impatient)
    assert calls == [1, 1, 1, 2, 3, 3, 3, 4]
    assert [member.state for member in members] == ["DIVERGED", "STOPPED", "COMPLETED", "STOPPED"]
    columns = ["state", "epochs", "rung", "bracket", "best_value", "m_final_train_loss", "stop_reason"]
    for number in range(4):
        assert str(members[number].history) == str(expected[number].history)
        rows = [_trials(each)[number] for each in (run, calm)]
        assert str([rows[0][name] for name in columns]) == str([rows[1][name] for name in columns])
        assert len(_epochs(run, number)) == members[number].epochs


def test_a_stack_of_diverged_members_only_ends(make_trial: MakeTrial, new_run: NewRun) -> None:
    wild = make_trial(loss="mse", activation="linear", optimizer={"name": "sgd", "lr": 1e6})
    members = _run(new_run(), [wild, wild])
    assert [(member.state, member.epochs) for member in members] == [("DIVERGED", 1)] * 2


def test_regression(make_trial: MakeTrial, new_run: NewRun, values: dict[str, Any]) -> None:
    run = new_run()
    data = {**values, "scaling": "standardize"}
    spec = make_trial(data=data, optimizer={"name": "adam", "lr": 0.02}, train={"epochs": 30})
    (member,) = _run(run, [spec])
    rows = _epochs(run, 0)
    assert spec.loss.name == "mse"
    assert rows[-1]["validation_loss"] < 0.6 * rows[0]["validation_loss"]
    assert {row["train_accuracy"] for row in rows} == {row["validation_accuracy"] for row in rows} == {None}
    trial = _trials(run)[0]
    assert trial["m_test_accuracy"] is None
    assert trial["m_best_validation_accuracy"] is None
    tensors, facts = load_checkpoint(run.location / "checkpoints" / "t00000")
    assert trial["m_test_loss"] == pytest.approx(_test_metrics(spec, tensors)[0])
    assert facts["outputs"] == 2
    dataset = load_dataset(spec.data)
    assert torch.equal(tensors["scaling.shift"], dataset.scaling.shift)
    assert torch.equal(tensors["scaling.scale"], dataset.scaling.scale)
    assert member.test == {"loss": trial["m_test_loss"]}


def test_a_failure_leaves_a_traceback_and_the_state(
    make_trial: MakeTrial, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()

    def judge(epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
        if epoch == 2:
            raise ZeroDivisionError("this is\nwrong")
        return {0: Verdict(True, 0)}

    with pytest.raises(ZeroDivisionError):
        _run(run, [make_trial(seed=seed) for seed in range(3)], judge, number=7)
    rows = _trials(run)
    assert [rows[n]["state"] for n in range(3)] == ["STOPPED", "FAILED", "FAILED"]
    assert rows[0]["error"] is rows[0]["traceback_path"] is None
    assert (rows[1]["error_type"], rows[1]["error"]) == ("ZeroDivisionError", "this is")
    assert rows[1]["stop_reason"] == "error"
    assert rows[1]["epochs"] == len(_epochs(run, 1)) == 2
    traceback = run.local_path(*rows[1]["traceback_path"].split("/"))
    assert traceback.name == "stack-00007.a001.traceback.log"
    assert 'raise ZeroDivisionError("this is' in traceback.read_text()
    assert traceback.stat().st_mode & 0o077 == 0


def test_a_failure_before_the_first_epoch_is_noted_too(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    with pytest.raises(Exception, match="nowhere"):
        _run(run, [make_trial(data={"name": "npz", "path": "nowhere.npz"})])
    assert _trials(run)[0]["state"] == "FAILED"
    assert "nowhere.npz" in _trials(run)[0]["error"]


def test_an_interrupt_preempts_and_keeps_the_checkpoint(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()

    def judge(epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
        if epoch == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        _run(run, [make_trial()], judge)
    row = _trials(run)[0]
    assert (row["state"], row["stop_reason"], row["epochs"]) == ("PREEMPTED", "interrupted", 2)
    (member,) = _run(run, [make_trial()])
    assert (member.state, member.epochs) == ("COMPLETED", 3)
    assert [row["attempt"] for row in _epochs(run, 0)] == [1, 1, 2]


@pytest.mark.parametrize(("every", "expected"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4]), (9, [])])
def test_checkpoints_are_written_every_so_many_epochs(
    make_trial: MakeTrial, new_run: NewRun, monkeypatch: pytest.MonkeyPatch, every: int, expected: list[int]
) -> None:
    written = []
    save = record.save_stack_checkpoint

    def spy(folder: Any, epoch: int, *rest: Any) -> None:
        written.append(epoch)
        save(folder, epoch, *rest)

    monkeypatch.setattr(record, "save_stack_checkpoint", spy)
    _run(new_run(), [make_trial(train={"epochs": 5, "checkpoint_every_epochs": every})])
    assert written == expected


def test_other_workers_write_nothing(
    make_trial: MakeTrial, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "sum", lambda _self, values: values)
    monkeypatch.setattr(by_autograd, "DistributedDataParallel", lambda module, **_: module)
    run = new_run()
    before = sorted(path for path in run.local_path().rglob("*"))
    plan = StackPlan(0, ((0, make_trial()),))
    run_stack(run, plan, scheduler="none", judge=_go_on, workers=Workers(1, 2), device=CPU)
    assert sorted(path for path in run.local_path().rglob("*")) == before


def test_a_finished_network_is_pruned_before_it_is_tested(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    plain, pruned = make_trial(), make_trial(regularization={"prune": 0.6})
    _run(run, [plain, pruned])
    rows = _trials(run)
    assert rows[0]["m_final_validation_loss"] == rows[1]["m_final_validation_loss"]
    for number, trial in enumerate((plain, pruned)):
        tensors, _ = load_checkpoint(run.location / "checkpoints" / f"t{number:05d}")
        zeros = {n: int((t == 0).sum()) for n, t in tensors.items() if n.endswith("weight")}
        sizes = {n: t.numel() for n, t in tensors.items() if n.endswith("weight")}
        assert zeros == {n: int(trial.regularization.prune * size) for n, size in sizes.items()}
        loss, _ = _test_metrics(trial, {n: t for n, t in tensors.items() if n.startswith("layers")})
        assert rows[number]["m_test_loss"] == pytest.approx(loss, rel=1e-5)
