"""Training in float16 against torch's own autocast and GradScaler; a member's overflow is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydnn.data.load import load_dataset
from raydnn.nn.models.unstacked import unstacked
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.loop import train
from raydnn.training.session import run_stack
from raydnn.training.stack import loss_scale
from raydnn.training.stack.exploit import rows_of
from raydnn.training.stack.loss_scale import LossScale
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.steps import passes
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
FLOAT16 = {"precision": "float16"}
PLAIN: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
}
OURS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    "adam": {"name": "adam", "lr": 0.01},
    "nadam": {"name": "nadam", "lr": 0.01},
}


@pytest.fixture(autouse=True)
def _overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So large a first scale that the first steps overflow, and it soon grows to that again."""
    monkeypatch.setattr(loss_scale, "FIRST_SCALE", 2.0**24)
    monkeypatch.setattr(loss_scale, "INTERVAL", 5)


def _plain(trial: TrialSpec) -> tuple[nn.Module, float, int]:
    """Torch's loop, its last scale, and the steps that it did without."""
    dataset = load_dataset(trial.data).to(CPU)
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    network = unstacked(stack.architecture, stack.parameters, trial, stack.statistics).train()
    optimizer = PLAIN[trial.optimizer.name](network.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=5)
    size, missed = trial.train.step_of(len(dataset.train)), 0
    for epoch in range(1, trial.train.epochs + 1):
        for rows in torch.split(dataset.train.order(trial.seed, epoch), size):
            optimizer.zero_grad()
            for part in torch.split(rows, trial.train.batch_of(len(dataset.train))):
                inputs, labels = dataset.train.batch(part)
                with torch.autocast("cpu", torch.float16):
                    outputs = network(inputs)
                losses = nn.functional.cross_entropy(outputs.float(), labels.targets, reduction="sum")
                scaler.scale(losses / len(rows)).backward()
            scaler.step(optimizer)
            before = scaler.get_scale()
            scaler.update()
            missed += scaler.get_scale() < before
    return network, scaler.get_scale(), missed


def _flat(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("optimizer", sorted(OURS))
@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_trains_as_torchs_loop(make_trial: Callable[..., Any], optimizer: str, accumulate: int) -> None:
    trial = make_trial(optimizer=OURS[optimizer], train={**FLOAT16, "accumulate": accumulate})
    dataset = load_dataset(trial.data).to(CPU)
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    start = stack.parameters.clone()
    rows = [row for _, (row,) in zip(range(3), (rows for _, rows in train(stack, dataset, 1)), strict=False)]
    network, scale, missed = _plain(trial)
    assert missed > 4
    assert stack.loss_scale is not None
    assert stack.loss_scale.scales.item() == scale
    assert stack.optimizer.steps.item() == rows[-1]["step"] - missed
    moved = (stack.parameters - start)[0]
    expected = torch.cat(
        [parameter.flatten() for parameter in stack.architecture.layout.views(stack.parameters).values()]
    )
    assert moved.norm() > 0.1
    torch.testing.assert_close(expected, _flat(network), rtol=5e-3, atol=5e-3)


def test_a_scale_moves_as_torchs() -> None:
    ours, scaler = LossScale(1, CPU), torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=5)
    parameter = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    scaler.scale(parameter.sum())
    for finite in [True] * 7 + [False, False, True, False] + [True] * 12:
        gradient = torch.tensor([1.0, 2.0, 3.0 if finite else float("nan")])
        parameter.grad = gradient.clone()
        scaler.step(optimizer)
        scaler.update()
        own = gradient.clone().unsqueeze(0)
        ours.unscale(own)
        assert ours.move() == ([] if finite else [slice(0, 1)])
        assert ours.scales.item() == scaler.get_scale()


def test_the_default_scale_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.zeros(()))  # It is there from its first use on.
    assert scaler.get_scale() == loss_scale.FIRST_SCALE
    assert scaler.get_growth_interval() == loss_scale.INTERVAL
    assert scaler.get_growth_factor() == loss_scale.GROWTH
    assert scaler.get_backoff_factor() == loss_scale.BACKOFF


MIXED: list[dict[str, Any]] = [
    {"optimizer": OURS["adam"]},
    {"optimizer": OURS["nadam"], "seed": 3},
    {"optimizer": {"name": "nadam", "lr": 0.02}, "train": {"class_weights": [1e4, 1e2, 1.0]}},
    {"optimizer": OURS["sgd"], "regularization": {"l2": 0.01, "dropout": 0.2}},
    {"optimizer": {"name": "sgd", "lr": 0.1}, "train": {"clip": {"name": "norm", "max_grad_norm": 0.5}}},
]


@pytest.mark.parametrize("captured", [False, True])
def test_a_members_overflow_is_its_own(
    make_trial: Callable[..., Any],
    fit: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    captured: bool,
) -> None:
    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 1 if captured else 10_000)
    # Scales do not grow: what is just too large for float16 in a stack may just fit into it alone.
    monkeypatch.setattr(loss_scale, "INTERVAL", 2000)
    trials = [make_trial(**{**fields, "train": {**fields.get("train", {}), **FLOAT16}}) for fields in MIXED]
    together = fit(trials, drop={2: {0}})
    for number, trial in enumerate(trials):
        (alone,) = fit([trial])
        last = 2 if number == 0 else 3
        for row, expected in zip(together[number].rows, alone.rows[:last], strict=True):
            assert (row["grad_norm"] is None) == (expected["grad_norm"] is None)
            assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=2e-3)
        if last == 3:
            torch.testing.assert_close(together[number].parameters, alone.parameters, rtol=5e-3, atol=5e-3)


def test_a_step_that_is_missed_changes_nothing(make_trial: Callable[..., Any]) -> None:
    trials = [make_trial(optimizer=OURS["nadam"], train=FLOAT16, seed=seed) for seed in (1, 2, 3)]
    dataset = load_dataset(trials[0].data).to(CPU)
    stack = Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), CPU)
    assert stack.loss_scale is not None
    stack.loss_scale.scales.copy_(torch.tensor([[1.0], [2.0**40], [1.0]]))
    before = {name: tensor[1].clone() for name, tensor in stack.state_tensors().items()}
    _, rows = next(train(stack, dataset, 1))
    steps = rows[0]["step"]
    after = {name: tensor[1] for name, tensor in stack.state_tensors().items()}
    assert after["loss_scale"] == 2.0 ** (40 - steps)
    assert [row["grad_norm"] is None for row in rows] == [False, True, False]
    for name in before.keys() - {"loss_scale", "best"}:
        assert torch.equal(after[name], before[name]), name
    assert stack.optimizer.steps.flatten().tolist() == [steps, 0, steps]
    assert stack.loss_scale.streaks.flatten().tolist() == [steps % 5, 0, steps % 5]


def test_it_goes_on_with_its_scale(make_trial: Callable[..., Any], new_run: Callable[..., Run]) -> None:
    trials = [make_trial(optimizer=OURS["adam"], train={**FLOAT16, "epochs": 4}, seed=s) for s in (1, 2)]
    plan = StackPlan(0, tuple(enumerate(trials)))

    def leaving(epoch: int, _members: Any) -> dict[int, Verdict]:
        if epoch == 2:
            raise SystemExit
        return {}

    def curves(name: str, interrupted: bool) -> list[Any]:
        run = new_run(name)
        given: dict[str, Any] = {"scheduler": "none", "workers": Workers(), "device": CPU}
        if interrupted:
            with pytest.raises(SystemExit):
                run_stack(run, plan, judge=leaving, **given)
        run_stack(run, plan, judge=lambda *_: {}, **given)
        names = ("epoch", "train_loss", "grad_norm", "validation_loss")
        return [[row[name] for name in names] for row in read(run.location, "epochs").to_pylist()]

    assert curves("whole", False) == curves("resumed", True)


def test_who_copies_a_member_copies_its_scale(make_trial: Callable[..., Any]) -> None:
    trial = make_trial(train=FLOAT16)
    dataset = load_dataset(trial.data).to(CPU)
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    assert {"loss_scale", "loss_scale_streak"} <= rows_of(stack.members[0], stack.state_tensors(), 0).keys()
