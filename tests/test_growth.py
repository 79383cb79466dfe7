"""What is added behind a seam is trained as all else is: stacked, dropped from stacks, resumed, by two workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sessions import curves, train_by_workers, trained_run

from raydnn.data.inputs import Inputs
from raydnn.data.load import load_dataset
from raydnn.nn.models.registry import MODELS, architecture
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.run import create_run
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.stack.footprint import footprint
from raydnn.training.stack.summary import summarize

HERE = Path(__file__).parent
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def grown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toys take the places of `mlp` and `rmsprop`: an entry in a table each."""
    monkeypatch.syspath_prepend(HERE)
    import growing  # type: ignore[import-not-found]

    monkeypatch.setitem(MODELS, "mlp", growing.gated)
    monkeypatch.setitem(OPTIMIZERS, "rmsprop", growing.AVERAGING)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _trial(**fields: Any) -> TrialSpec:
    given = {
        "data": {"name": "digits", "validation": 1500, "scaling": "unit"},
        "model": {"name": "mlp", "widths": [12]},
        "train": {"epochs": 3, "batch_size": 17},
        **fields,
    }
    return TrialSpec.from_training(Training.model_validate(given))


def _trials() -> list[TrialSpec]:
    """Members that mix optimizers, dropout, penalties and seeds; one of them clips."""
    clipped = {"epochs": 3, "batch_size": 17, "clip": {"name": "per_layer", "max_grad_norm": 0.5}}
    return [
        _trial(optimizer={"name": "sgd", "lr": 0.3}, regularization={"dropout": 0.3}),
        _trial(
            optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9},
            regularization={"l2": 0.01, "max_norm": 1.0},
        ),
        _trial(optimizer={"name": "rmsprop", "lr": 0.2}, seed=3),
        _trial(optimizer={"name": "rmsprop", "lr": 0.1}, train=clipped, regularization={"prune": 0.5}),
    ]


def test_a_stack_of_a_new_layer_and_a_new_optimizer_trains_what_each_member_trains_alone(
    tmp_path: Path,
) -> None:
    trials = list(enumerate(_trials()))
    together = trained_run(tmp_path, "together", trials)
    for number, trial in trials:
        alone = trained_run(tmp_path, f"alone-{number}", [(number, trial)])
        found, expected = curves(together, f"t{number:05d}"), curves(alone)
        assert len(expected) == 3
        assert expected[-1]["train_loss"] < expected[0]["train_loss"]
        for row, wanted in zip(found, expected, strict=True):
            assert row == pytest.approx(wanted, rel=1e-5)


def test_a_resumed_stack_ends_where_an_uninterrupted_one_ends(tmp_path: Path) -> None:
    trials = list(enumerate(_trials()))
    whole, broken = trained_run(tmp_path, "whole", trials), trained_run(tmp_path, "broken", trials, dies_at=2)
    assert curves(broken) == curves(whole)
    for number, _ in trials:
        weights, again = (
            load_checkpoint(run.location / "checkpoints" / f"t{number:05d}")[0] for run in (whole, broken)
        )
        assert set(weights) >= {f"layers.{k}.{name}" for k in (0, 1) for name in ("weight", "gate", "bias")}
        assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())


REGISTERED = """
import growing
from raydnn.nn.models.registry import MODELS
from raydnn.optim.optimizers.registry import OPTIMIZERS

MODELS["mlp"], OPTIMIZERS["rmsprop"] = growing.gated, growing.AVERAGING
"""


def test_two_workers_train_what_one_trains(tmp_path: Path) -> None:
    trials = list(enumerate(_trials()))
    one = trained_run(tmp_path, "one", trials)
    two = create_run(str(tmp_path), "two", "", {"metric": "validation_loss", "mode": "min"})
    train_by_workers(two, [trials], REGISTERED)
    for row, wanted in zip(curves(two), curves(one), strict=True):
        assert row == pytest.approx(wanted, rel=2e-5)


def test_a_new_layer_is_summarized_and_estimated_by_what_it_says() -> None:
    trial = _trials()[0]
    summary = summarize(trial)
    assert [(each.name, each.shape, each.parameters) for each in summary.layers] == [
        ("layers.0", (12,), 2 * 12 * 64 + 12),
        ("layers.1", (10,), 2 * 10 * 12 + 10),
    ]
    dataset = load_dataset(trial.data).to(CPU)
    assert footprint([trial] * 20, dataset) > 10 * footprint([trial], dataset)
    assert architecture(trial, Inputs((8, 8)), 10).layout.count == summary.parameters
