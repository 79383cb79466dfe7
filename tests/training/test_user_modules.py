"""A user's own modules in training: a stack equals its members alone, plain torch, and an interrupted run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from sessions import Died, dying_at, train_plan

from raydnn.data.batches import order
from raydnn.data.load import load_dataset
from raydnn.nn.layers.layer import Row
from raydnn.nn.models.registry import architecture
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.stack.summary import summarize

CLASSES = """
from torch import nn


class Plain(nn.Module):
    def __init__(self, inputs, outputs, widths=(8,)):
        super().__init__()
        sizes = [inputs, *widths]
        layers = []
        for fan_in, fan_out in zip(sizes, sizes[1:]):
            layers += [nn.Linear(fan_in, fan_out), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def forward(self, x):
        return self.layers(x)


class Noisy(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(self.drop(self.norm(self.first(x)).relu()))
"""
PLAIN = {"name": "module", "path": "their_networks:Plain", "arguments": {"widths": [8, 7]}}
NOISY = {"name": "module", "path": "their_networks:Noisy"}
MEMBERS: list[dict[str, Any]] = [
    {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "schedule": "cosine", "seed": 1},
    {"optimizer": {"name": "sgd", "lr": 0.3}, "train": {"clip": "norm"}, "seed": 2},
    {"optimizer": {"name": "muon", "lr": 0.02}, "regularization": {"l2": 0.01, "max_norm": 1.0}, "seed": 1},
    {"optimizer": {"name": "adam", "lr": 0.01}, "regularization": {"label_smoothing": 0.1}},
]


@pytest.fixture(autouse=True)
def _their_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_networks.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("model", [PLAIN, NOISY], ids=["at once", "in turn"])
def test_a_stack_of_different_settings_equals_its_members_alone(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any], model: Mapping[str, Any]
) -> None:
    trials = [make_trial(**{"activation": "relu", **given}, model=model) for given in MEMBERS]
    for k, (found, trial) in enumerate(zip(fit(trials, drop={1: {2}}), trials, strict=True)):
        (alone,) = fit([trial])
        assert found.rows == alone.rows[: 1 if k == 2 else 3]
        if k != 2:
            assert torch.equal(found.parameters, alone.parameters)
        assert alone.rows[-1]["train_loss"] < alone.rows[0]["train_loss"]


def test_it_is_trained_as_plain_torch_trains_it(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    optimizer = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
    trial = make_trial(activation="relu", model=PLAIN, optimizer=optimizer)
    (found,) = fit([trial])
    dataset = load_dataset(trial.data).to(torch.device("cpu"))
    from their_networks import Plain  # type: ignore[import-not-found]

    theirs = Plain(6, 3, widths=[8, 7])
    network = architecture(trial, dataset.inputs, 3)
    layout = network.layout
    first, _ = network.start(trial)
    theirs.load_state_dict({name: view[0] for name, view in layout.views(first.unsqueeze(0)).items()})
    stepping = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for epoch in (1, 2, 3):
        for rows in order(trial.seed, epoch, 120).split(16):
            stepping.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                theirs(dataset.train.inputs[rows]), dataset.train.targets[rows]
            )
            loss.backward()
            stepping.step()
    views = layout.views(found.parameters.unsqueeze(0))
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(views[name][0], parameter.detach(), rtol=1e-4, atol=1e-5)


def test_a_run_taken_up_again_ends_where_an_uninterrupted_one_ends(
    make_trial: Callable[..., TrialSpec], new_run: Callable[..., Run]
) -> None:
    trials = [
        make_trial(activation="relu", model=NOISY, seed=seed, train={"checkpoint_every_epochs": 1})
        for seed in (1, 2)
    ]
    plan = StackPlan(0, tuple(enumerate(trials)))

    whole, broken = new_run("whole"), new_run("broken")
    train_plan(whole, plan)
    with pytest.raises(Died):
        train_plan(broken, plan, dying_at(2))
    train_plan(broken, plan)
    columns = ["trial_id", "epoch", "train_loss", "validation_loss", "grad_norm"]
    rows = [read(run.location, "epochs").select(columns).to_pylist() for run in (whole, broken)]
    assert rows[0] == rows[1]
    for trial_id in ("t00000", "t00001"):
        kept = [load_checkpoint(run.location / "checkpoints" / trial_id)[0] for run in (whole, broken)]
        assert kept[0].keys() == kept[1].keys()
        assert all(torch.equal(tensor, kept[1][name]) for name, tensor in kept[0].items())
        assert kept[0]["norm.num_batches_tracked"] == 3 * 8
        assert not torch.equal(kept[0]["norm.running_mean"], torch.zeros(8))


def test_the_summary_shows_the_layers_and_how_a_stack_is_computed(
    make_trial: Callable[..., TrialSpec],
) -> None:
    plain = summarize(make_trial(activation="relu", model=PLAIN))
    assert plain.layers[0] == Row("layers.0", (8,), 48 + 8, 48)
    assert plain.parameters == 7 * 8 + 9 * 7 + 8 * 3
    assert plain.strategy == (
        "their_networks:Plain: the members of a stack are computed at once, by torch.func.vmap"
    )
    noisy = summarize(make_trial(activation="relu", model=NOISY))
    assert noisy.strategy.endswith(
        "one after another, since torch.func.vmap cannot: its buffer norm.running_mean changes in training"
    )
    assert summarize(make_trial()).strategy == ""
