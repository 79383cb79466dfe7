"""Users' code in captured steps: equal to the bit, or left eager, which is told; its numbers are right either way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.spec.trial import TrialSpec
from raydnn.training.steps import passes

CLASSES = """
import random
import numpy as np
import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, 8)
        self.last = nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(self.between(self.first(x)))

    def between(self, x):
        return x.tanh()


class Convolution(Plain):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.convolution = nn.Conv1d(1, 2, 3, padding=1, stride=2)

    def between(self, x):
        return self.convolution(x.unsqueeze(1)).flatten(1).relu()


class Normalized(Plain):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.norm = nn.BatchNorm1d(8)

    def between(self, x):
        return self.norm(x).relu()


class Attention(Plain):
    def between(self, x):
        parts = x.view(len(x), 4, 2)
        return nn.functional.scaled_dot_product_attention(parts, parts, parts).flatten(1)


class Spare(Plain):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.spare = nn.Linear(3, 3)


class Drops(Plain):
    def between(self, x):
        return nn.functional.dropout(x, 0.3, self.training)


class Looks(Plain):
    def between(self, x):
        return x * 2 if float(x.detach().sum()) > 0 else x


class Counts(Plain):
    calls = 0

    def between(self, x):
        if self.training:
            self.calls += 1
        return x * 0.999**self.calls


CALLS = [0]


class CountsElsewhere(Plain):
    def between(self, x):
        CALLS[0] += 1
        return x * (1 + CALLS[0] % 3)


class Random(Plain):
    def between(self, x):
        return x * random.random() if self.training else x


class Numpy(Plain):
    def between(self, x):
        return x * torch.from_numpy(np.sign(x.detach().numpy()))


def distance(outputs, targets):
    return outputs.square().mean(-1) - outputs.gather(1, targets.unsqueeze(1)).squeeze(1)
"""
CAPTURED = ("Plain", "Convolution", "Normalized", "Attention", "Spare")
EAGER = {
    "Drops": "draws from torch's global generator",
    "Looks": "depends on the values of a tensor",
    "Counts": "keeps what it computes with from call to call",
    "CountsElsewhere": "does other than it did when it is called again",
    "Random": "does other than it did when it is called again",
    "Numpy": "",
}
"""Class → why its steps stay eager; not only one reason may be found first."""

Make = Callable[..., TrialSpec]
Fit = Callable[..., Any]


@pytest.fixture(autouse=True)
def _networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_networks.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(tmp_path)


def _model(name: str) -> dict[str, Any]:
    return {"name": "module", "path": f"users_networks:{name}"}


def _fitted(
    fit: Fit, trials: list[TrialSpec], monkeypatch: pytest.MonkeyPatch, before: int
) -> tuple[list[Any], bool]:
    """What became of the trials, and whether their steps were captured."""
    captured = []
    real = passes.Passes._captured

    def note(self: passes.Passes) -> Any:
        outcomes, replay = real(self)
        captured.append(replay is not None)
        return outcomes, replay

    with monkeypatch.context() as patch:
        patch.setattr(passes, "STEPS_BEFORE_CAPTURE", before)
        patch.setattr(passes.Passes, "_captured", note)
        return fit(trials), bool(captured) and all(captured)


def _assert_equal(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.rows == other.rows
        assert torch.equal(one.parameters, other.parameters)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", CAPTURED)
def test_a_users_module_is_captured_and_no_bit_changes(
    make_trial: Make, fit: Fit, monkeypatch: pytest.MonkeyPatch, name: str, members: int
) -> None:
    optimizers = ({"name": "sgd", "lr": 0.1, "momentum": 0.9}, "adam", "adamw")[:members]
    trials = [make_trial(model=_model(name), activation="relu", optimizer=o) for o in optimizers]
    found, captured = _fitted(fit, trials, monkeypatch, 1)
    assert captured
    _assert_equal(found, _fitted(fit, trials, monkeypatch, 10_000)[0])


@pytest.mark.parametrize("train", [{"accumulate": 2}, {"augmentation": {"mixup": 0.4}}], ids=str)
def test_batches_of_a_step_and_what_is_drawn_for_them_stay_the_same(
    make_trial: Make, fit: Fit, monkeypatch: pytest.MonkeyPatch, train: dict[str, Any]
) -> None:
    trials = [make_trial(model=_model("Normalized"), activation="relu", train=train, seed=s) for s in (1, 2)]
    found, captured = _fitted(fit, trials, monkeypatch, 1)
    assert captured
    _assert_equal(found, _fitted(fit, trials, monkeypatch, 10_000)[0])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_users_loss_is_captured(
    make_trial: Make, fit: Fit, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    loss = {"name": "function", "path": "users_networks:distance"}
    trials = [make_trial(loss=loss, seed=seed, optimizer=optimizer) for seed in (1, 2)]
    found, captured = _fitted(fit, trials, monkeypatch, 1)
    assert captured
    _assert_equal(found, _fitted(fit, trials, monkeypatch, 10_000)[0])


@pytest.mark.parametrize("name", EAGER)
def test_what_a_replay_would_not_repeat_stays_eager_and_says_why(
    make_trial: Make,
    fit: Fit,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    trials = [make_trial(model=_model(name), activation="relu")]
    with caplog.at_level(logging.INFO):
        found, captured = _fitted(fit, trials, monkeypatch, 1)
    assert not captured
    assert "steps are not captured" in caplog.text
    assert EAGER[name] in caplog.text
    if name not in ("Random", "CountsElsewhere"):
        _assert_equal(found, _fitted(fit, trials, monkeypatch, 10_000)[0])


@pytest.mark.parametrize(
    "fields", [{}, {"normalization": "batch_norm"}, {"regularization": {"dropout": 0.3}}]
)
def test_bfloat16_is_captured_and_no_bit_changes(
    make_trial: Make, fit: Fit, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    trials = [
        make_trial(train={"precision": "bfloat16"}, optimizer=optimizer, seed=seed, **fields)
        for seed, optimizer in enumerate(("sgd", "adam"))
    ]
    found, captured = _fitted(fit, trials, monkeypatch, 1)
    assert captured
    _assert_equal(found, _fitted(fit, trials, monkeypatch, 10_000)[0])
