"""Running averages are kept, restored, saved and recomputed with the parameters they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from raydnn.data.inputs import Inputs
from raydnn.data.load import load_dataset
from raydnn.nn.losses import LOSSES
from raydnn.nn.models.mlp import mlp
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.loop import train
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

CPU = torch.device("cpu")

MakeTrial = Callable[..., TrialSpec]


def _go_on(_epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
    return {}


def _stack(trials: Sequence[TrialSpec]) -> tuple[Stack, Any]:
    dataset = load_dataset(trials[0].data).to(CPU)
    return Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), CPU), dataset


def _batch_norm(**more: Any) -> dict[str, Any]:
    return {"name": "batch_norm", "inputs": True, **more}


def _saved(run: Run, trials: Sequence[TrialSpec]) -> list[dict[str, Tensor]]:
    plan = StackPlan(0, tuple(enumerate(trials)))
    run_stack(run, plan, scheduler="none", judge=_go_on, workers=Workers(), device=CPU)
    return [load_checkpoint(run.location / "checkpoints" / f"t{n:05d}")[0] for n in range(len(trials))]


def test_exact_statistics_are_those_of_the_whole_training_set(
    make_trial: MakeTrial, new_run: Callable[..., Run]
) -> None:
    trials = [
        make_trial(normalization=_batch_norm(exact_statistics=e), activation="relu") for e in (True, False)
    ]
    run = new_run()
    exact, running = _saved(run, trials)
    dataset = load_dataset(trials[0].data).to(CPU)
    network = mlp(trials[0], Inputs((6,)), 3)
    layout = network.layout
    assert all(torch.equal(exact[name], running[name]) for name in layout.shapes)
    hidden = dataset.train.inputs.double()
    for prefix in ("input_norm", "layers.0.norm", "layers.1.norm"):
        if prefix != "input_norm":
            hidden = hidden @ exact[prefix.replace("norm", "weight")].double().T
        mean, variance = hidden.mean(dim=0), hidden.var(dim=0, correction=0)
        torch.testing.assert_close(exact[f"{prefix}.mean"].double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(exact[f"{prefix}.variance"].double(), variance, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(running[f"{prefix}.variance"].double(), variance, rtol=1e-3, atol=1e-3)
        hidden = (hidden - mean) / (variance + 1e-5).sqrt() * exact[f"{prefix}.scale"] + exact[
            f"{prefix}.shift"
        ]
        if prefix != "input_norm":
            hidden = hidden.relu()
    # What is tested is what is saved.
    assert dataset.test is not None
    found = {row["number"]: row for row in read(run.location, "trials").to_pylist()}
    for number, tensors in enumerate((exact, running)):
        flat_row, statistics = torch.zeros(1, layout.size), torch.zeros(1, layout.statistics_size)
        for name, view in (layout.views(flat_row) | layout.statistics_views(statistics)).items():
            view[0] = tensors[name]
        outputs = network.module(flat_row, [trials[number]], statistics)(dataset.test.inputs)
        loss = LOSSES["cross_entropy"](outputs, dataset.test.targets).mean().item()
        assert found[number]["m_test_loss"] == pytest.approx(loss)
    assert found[0]["m_test_loss"] != found[1]["m_test_loss"]
    assert found[0]["parameters"] == layout.count


def test_the_best_epochs_averages_are_restored_with_its_weights(
    make_trial: MakeTrial, new_run: Callable[..., Run]
) -> None:
    # Rates that only grow worse: the first epoch stays the best.
    fields = {"normalization": _batch_norm(), "optimizer": {"name": "sgd", "lr": 20.0, "momentum": 0.9}}
    trial = make_trial(train={"epochs": 5, "early_stopping": {"patience": 2}}, **fields)
    (tensors,) = _saved(new_run(), [trial])
    stack, dataset = _stack([trial])
    by_epoch = []
    for epoch, _ in train(stack, dataset, 1):
        by_epoch.append(stack.member_parameters(0))
        if epoch == 5:
            stack.keep([])
    (same,) = [
        n for n, state in enumerate(by_epoch) if all(torch.equal(tensors[k], v) for k, v in state.items())
    ]
    assert same < 4


def test_a_stacks_state_has_its_averages(make_trial: MakeTrial) -> None:
    trials = [
        make_trial(normalization=_batch_norm(momentum=m), train={"early_stopping": {"patience": 2}})
        for m in (0.1, 0.4, 0.9)
    ]
    stack, dataset = _stack(trials)
    for _ in train(stack, dataset, 1):
        break
    assert len({tuple(row) for row in stack.statistics.tolist()}) == 3
    again, _ = _stack(trials)
    again.load_state_tensors({name: tensor.clone() for name, tensor in stack.state_tensors().items()})
    inputs = dataset.validation.inputs
    assert torch.equal(again.module(inputs), stack.module(inputs))
    assert again.best_statistics is not None
    expected = stack.module(inputs)[[0, 2]]
    stack.keep([0, 2])
    torch.testing.assert_close(stack.module(inputs), expected)
    assert stack.statistics.shape == (2, stack.layout.statistics_size)


def test_a_last_batch_of_one_example_harms_nothing(make_trial: MakeTrial) -> None:
    trials = [make_trial(normalization=_batch_norm(), train={"batch_size": 17}, seed=s) for s in (0, 1)]
    stack, dataset = _stack(trials)
    assert len(dataset.train) % 17 == 1
    for epoch, rows in train(stack, dataset, 1):
        assert all(row["validation_loss"] < 2 for row in rows)
        assert stack.parameters.isfinite().all()
        assert (stack.statistics.isfinite()).all()
        if epoch == 3:
            stack.keep([])
