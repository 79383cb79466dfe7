"""Two data-parallel workers train what one trains: the same batches, noise, steps and record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sessions import run_workers, train_plan

from raydnn.search.packing import StackPlan
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run, create_run
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict

WORK = """
import json
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.storage.files import locate
from raydnn.store.run import run_at
from raydnn.training.verdict import Verdict
from sessions import train_plan

run, plans = arguments
for number, plan in enumerate(json.load(open(plans))):
    trials = tuple((member, TrialSpec.from_json(config)) for member, config in plan)
    train_plan(
        run_at(locate(run)), StackPlan(number, trials),
        lambda epoch, members: {trials[-1][0]: Verdict(epoch == 2 and len(trials) > 1, 0)},
        scheduler="asha", workers=workers,
    )
"""

PARTS = """
from torch import nn


class Spare(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, outputs)
        self.spare = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.first(x)


class Sometimes(Spare):
    def forward(self, x):
        return self.first(x) + (self.spare(x) if self.training and len(x) > 5 else 0)
"""
"""Networks with a parameter that takes no part, or not in every batch."""

SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}
ADAM = {"name": "adam", "lr": 0.01, "weight_decay": 1e-3}
ADAMW = {"name": "adamw", "lr": 0.01}
NORMALIZED = {"name": "batch_norm", "inputs": True}
CLIP = {"clip": {"name": "norm", "max_grad_norm": 0.3}}

OTHERS = [
    {"name": "rmsprop", "lr": 0.003, "momentum": 0.5, "eps": 1e-3},
    {"name": "adagrad", "lr": 0.05},
    {"name": "adadelta", "eps": 1e-4},
    {"name": "adamax", "lr": 0.01},
    {"name": "nadam", "lr": 0.01},
    {"name": "radam", "lr": 0.01},
    {"name": "lion", "lr": 0.001},
    {"name": "muon", "lr": 0.01, "weight_decay": 0.1, "decay_bias": False},
]

# 120 examples in batches of 17: of the last batch, a single example, one of two workers gets nothing.
MEMBERS: list[list[dict[str, Any]]] = [
    [{"optimizer": SGD, "regularization": {"dropout": 0.3}, "train": {**CLIP, "diagnostics": True}}],
    [{"optimizer": ADAM, "regularization": {"dropout": 0.3}}],
    [{"optimizer": ADAMW, "schedule": "cosine", "train": {"batch_size": 5}}],
    [{"optimizer": SGD, "seed": seed, "train": {"batch_size": 17, "accumulate": 3}} for seed in (1, 2)],
    [{"optimizer": ADAM, "train": {"batch_size": "full"}}],
    [{"optimizer": ADAM, "model": {"widths": widths}} for widths in ([6], [6], [5, 4])],
    [
        {"optimizer": SGD, "train": {"accumulate": 3, "augmentation": {"mixup": alpha}}}
        for alpha in (0.4, 0.0, 1.0)
    ],
    [{"optimizer": other, "schedule": "one_cycle", "train": CLIP} for other in OTHERS],
    [
        {"optimizer": SGD, "normalization": {**NORMALIZED, **more}}
        for more in ({}, {"momentum": 0.5}, {"exact_statistics": True})
    ],
    [{"optimizer": ADAM, "normalization": "layer_norm", "regularization": {"input_dropout": 0.2}}],
    [
        {
            "optimizer": ADAM,
            "regularization": {"alpha_dropout": 0.2},
            "model": {"name": "residual_mlp", "width": 7},
        }
    ],
    [
        {"optimizer": SGD, "regularization": {"dropout": 0.2}, "seed": 1},
        {"optimizer": ADAM, "activation": "elu"},
        {"optimizer": ADAMW, "regularization": {"dropout": 0.4}, "train": CLIP},
        {
            "optimizer": {"name": "sgd", "lr": 0.5},
            "schedule": {"name": "performance", "patience": 0},
            "seed": 1,
        },
        {"optimizer": ADAM, "train": {"early_stopping": {"patience": 1, "min_delta": 10.0}}},
        {"optimizer": ADAMW},
    ],
]


def _judge(plan: StackPlan) -> Callable[[int, Sequence[Member]], Mapping[int, Verdict]]:
    """Stops a stack's last member after epoch 2, as the workers' judge does."""
    return lambda epoch, _: {plan.trials[-1][0]: Verdict(epoch == 2 and len(plan.trials) > 1, 0)}


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, make_trial: Callable[..., TrialSpec], values: dict[str, Any]
) -> dict[int, Run]:
    """Number of workers → a run of the same stacks, the last of them a regression."""
    folder = tmp_path_factory.mktemp("workers")
    train = {"epochs": 4, "batch_size": 17}
    stacks = [
        [make_trial(**{**fields, "train": {**train, **fields.get("train", {})}}) for fields in members]
        for members in MEMBERS
    ]
    stacks.append(
        [make_trial(data=values, optimizer=o, train=train, seed=s) for o, s in ((SGD, 1), (ADAM, 2))]
    )
    images = {"name": "digits", "scaling": "unit", "validation": 1700}
    augmentation = {
        "flip": 0.5,
        "rotate": 15.0,
        "scale": 0.1,
        "shear": 10.0,
        "crop": 1,
        "mixup": 0.4,
        "cutmix": 0.4,
    }
    augmentation |= {"randaugment": 1, "color_jitter": 0.4, "random_erasing": 0.4}
    augmented = {**train, "augmentation": augmentation}
    stacks.append([make_trial(data=images, optimizer=SGD, train=augmented, seed=s) for s in (1, 2)])
    (folder / "networks_of_parts.py").write_text(PARTS)
    for name in ("Spare", "Sometimes"):
        model = {"name": "module", "path": f"{folder}/networks_of_parts:{name}"}
        given = {"model": model, "activation": "relu"}
        stacks.append([make_trial(**given, optimizer=SGD, train={**train, "accumulate": 2})])
        stacks.append([make_trial(**given, optimizer=ADAM, regularization={"l2": 0.01}, train=train)])
    numbers = iter(range(100))
    plans = [
        StackPlan(n, tuple((next(numbers), trial) for trial in trials)) for n, trials in enumerate(stacks)
    ]
    resolved = {"metric": "validation_loss", "mode": "min"}
    found = {count: create_run(str(folder), f"workers-{count}", "", resolved) for count in (1, 2)}
    for plan in plans:
        train_plan(found[1], plan, _judge(plan), scheduler="asha")
    file = folder / "plans.json"
    file.write_text(json.dumps([[(n, trial.config_json) for n, trial in plan.trials] for plan in plans]))
    run_workers(WORK, found[2].uri, str(file))
    return found


def _rows(run: Run, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read(run.location, table).to_pylist()
    return rows


def test_every_optimizer_is_among_the_members() -> None:
    names = {fields["optimizer"]["name"] for members in MEMBERS for fields in members}
    assert names == set(components("optimizer"))


def _assert_same(
    rows: list[dict[str, Any]], expected: list[dict[str, Any]], exact: set[str], close: set[str]
) -> None:
    for row, wanted in zip(rows, expected, strict=True):
        assert {name: row[name] for name in exact} == {name: wanted[name] for name in exact}
        for name in close:
            assert (row[name] is None) == (wanted[name] is None)
            assert (row[name] or 0.0) == pytest.approx(wanted[name] or 0.0, rel=2e-5), name


def test_every_epoch_has_the_same_numbers(runs: dict[int, Run]) -> None:
    one, two = (_rows(runs[count], "epochs") for count in (1, 2))
    assert len(one) > 30
    exact = {"trial_id", "epoch", "step", "lr", "momentum", "attempt"}
    metrics = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "grad_norm"}
    _assert_same(two, one, exact, metrics)


def test_every_layer_has_the_same_numbers_and_is_noted_once(runs: dict[int, Run]) -> None:
    one, two = (_rows(runs[count], "layers") for count in (1, 2))
    assert len(one) == 3 * 4
    close = {"gradient_norm", "weight_norm", "update_ratio", "activation_mean", "activation_std"}
    _assert_same(two, one, {"trial_id", "epoch", "layer", "depth", "attempt"}, close)


def test_every_trial_ends_the_same_way(runs: dict[int, Run]) -> None:
    one, two = (_rows(runs[count], "trials") for count in (1, 2))
    exact = {"number", "state", "stop_reason", "epochs", "best_epoch", "rung", "checkpoint"}
    _assert_same(two, one, exact, {"best_value", "m_test_loss", "m_test_accuracy"})
    assert {row["workers"] for row in one} == {1}
    assert {row["workers"] for row in two} == {2}
    assert {row["stop_reason"] for row in one} == {"epochs", "asha", "early_stopping"}


def test_the_final_weights_are_the_same(runs: dict[int, Run]) -> None:
    names = [row["checkpoint"] for row in _rows(runs[1], "trials") if row["checkpoint"]]
    assert names
    for name in names:
        tensors = [
            load_checkpoint(runs[count].location / "checkpoints" / Path(name).name)[0] for count in (1, 2)
        ]
        assert tensors[0].keys() == tensors[1].keys()
        for key, expected in tensors[0].items():
            torch.testing.assert_close(tensors[1][key], expected, rtol=1e-4, atol=1e-5)
