"""A stack on a GPU: the numbers of a CPU, the same with and without a CUDA graph, and no waiting inside an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from variations import VARIATIONS

from raydnn.data.load import load_dataset
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.trial import TrialSpec
from raydnn.training.epoch import train_epoch
from raydnn.training.loop import train
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.steps import passes
from raydnn.training.steps.passes import Passes
from raydnn.training.workers import Workers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
STACKS: dict[str, list[dict[str, Any]]] = {
    "descent": [{"optimizer": {"name": "sgd", "lr": lr}} for lr in (0.05, 0.1, 0.2)],
    "optimizers": [{"optimizer": name} for name in components("optimizer")],
    "regularization": [
        {"regularization": {"dropout": 0.3}, "seed": 1},
        {"regularization": {"alpha_dropout": 0.2, "input_dropout": 0.1}},
        {"regularization": {"l1": 1e-3, "max_norm": 1.0}, "train": {"clip": {"name": "norm"}}},
    ],
    "batch norm": [{"normalization": "batch_norm", "activation": name} for name in ("relu", "elu", "mish")],
    "mixup": [{"train": {"augmentation": {"mixup": 0.4}}, "seed": seed} for seed in (0, 1)],
    "colors": [
        {**fields, "train": {**fields["train"], "batch_size": 16}}
        for fields in VARIATIONS["augmentation_of_colors"]
    ],
    "mse": [{"loss": "mse", "optimizer": "adam", "schedule": "cosine"} for _ in range(2)],
}


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def _stack(trials: Sequence[TrialSpec], device: torch.device) -> tuple[Stack, Any]:
    dataset = load_dataset(trials[0].data).to(device)
    return Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), device), dataset


def _rows(trials: Sequence[TrialSpec], device: torch.device, epochs: int) -> list[dict[str, float]]:
    stack, dataset = _stack(trials, device)
    found = []
    for epoch, rows in train(stack, dataset, 1):
        found += [{k: v for k, v in row.items() if "loss" in k or k == "grad_norm"} for row in rows]
        if epoch == epochs:
            return found
    raise AssertionError("the stack has ended")


@pytest.mark.parametrize("kind", sorted(STACKS.keys() - {"regularization", "colors"}))
def test_the_numbers_are_a_cpus(make_trial: Callable[..., TrialSpec], kind: str) -> None:
    """Noise is drawn on the device, so what drops units or augments has other numbers there."""
    trials = [make_trial(**fields) for fields in STACKS[kind]]
    for found, expected in zip(_rows(trials, GPU, 2), _rows(trials, CPU, 2), strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", STACKS)
def test_a_graph_changes_nothing(
    make_trial: Callable[..., TrialSpec], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    trials = [make_trial(**fields) for fields in STACKS[kind]]
    captured = []
    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 10_000)
    eager = _rows(trials, GPU, 3)
    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 3)
    capture = passes.capture

    def note(*arguments: Any) -> Any:
        result, replay = capture(*arguments)
        captured.append(replay)
        return result, replay

    monkeypatch.setattr(passes, "capture", note)
    for found, expected in zip(_rows(trials, GPU, 3), eager, strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert captured
    assert None not in captured


@pytest.mark.parametrize("kind", STACKS)
def test_an_epoch_does_not_wait_for_the_device(
    make_trial: Callable[..., TrialSpec], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 3)
    stack, dataset = _stack([make_trial(**fields) for fields in STACKS[kind]], GPU)
    own = Passes(stack, dataset.train)
    table = torch.zeros(2, -(-len(dataset.train) // 16), len(stack.members), dtype=torch.float64)
    train_epoch(own, 1, table)  # allocations, kernels and the graph itself
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_epoch(own, 2, table)
    finally:
        torch.cuda.set_sync_debug_mode("default")
