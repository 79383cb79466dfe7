"""Golden loss curves: the digits at a fixed seed. A change here changes everybody's results and needs a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from raydnn.data.batches import order
from raydnn.data.inputs import Inputs
from raydnn.data.load import load_dataset
from raydnn.nn.models.mlp import mlp
from raydnn.spec.trial import TrialSpec

DIGITS = {
    "data": {"name": "digits", "test_fraction": 0.2, "scaling": "unit"},
    "model": {"name": "mlp", "widths": [32, 16]},
    "activation": "relu",
    "train": {"epochs": 5, "batch_size": 32},
}
CURVES: dict[str, tuple[dict[str, Any], list[float], list[float]]] = {
    "sgd": (
        {"optimizer": {"name": "sgd", "lr": 0.02, "momentum": 0.9}},
        [2.11896, 1.246029, 0.576921, 0.300081, 0.238113],
        [1.743715, 0.795602, 0.441108, 0.354005, 0.300702],
    ),
    "adamw": (
        {
            "optimizer": {"name": "adamw", "lr": 0.005},
            "schedule": {"name": "cosine", "warmup_epochs": 1},
            "regularization": {"dropout": 0.1},
        },
        [2.282501, 1.638271, 1.015085, 0.819428, 0.757265],
        [1.97103, 1.039749, 0.664278, 0.560135, 0.539631],
    ),
}
"""Settings, training losses, validation losses."""


@pytest.mark.parametrize("name", CURVES)
def test_the_loss_curve(make_trial: Callable[..., TrialSpec], fit: Callable[..., Any], name: str) -> None:
    fields, train_losses, validation_losses = CURVES[name]
    (fitted,) = fit([make_trial(**DIGITS, **fields)])
    assert [row["train_loss"] for row in fitted.rows] == pytest.approx(train_losses, rel=1e-4)
    assert [row["validation_loss"] for row in fitted.rows] == pytest.approx(validation_losses, rel=1e-4)


def test_a_plain_pytorch_loop_draws_the_same_curve(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    spec = make_trial(**DIGITS, optimizer={"name": "sgd", "lr": 0.02, "momentum": 0.9})
    dataset = load_dataset(spec.data)
    inputs, targets = dataset.train.inputs.flatten(1), dataset.train.targets
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))
    ours = mlp(spec, Inputs((64,)), 10)
    views = ours.layout.views(ours.start(spec)[0].unsqueeze(0))
    for parameter, first in zip(network.parameters(), views.values(), strict=True):
        parameter.data = first[0].clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    losses, validation_losses = [], []
    for epoch in range(1, spec.train.epochs + 1):
        total = 0.0
        for rows in order(spec.seed, epoch, len(targets)).split(spec.train.batch_size):
            loss = nn.functional.cross_entropy(network(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(targets))
        with torch.no_grad():
            outputs = network(dataset.validation.inputs.flatten(1))
            validation_losses.append(nn.functional.cross_entropy(outputs, dataset.validation.targets).item())
    (fitted,) = fit([spec])
    assert [row["train_loss"] for row in fitted.rows] == pytest.approx(losses, rel=1e-4)
    assert [row["validation_loss"] for row in fitted.rows] == pytest.approx(validation_losses, rel=1e-4)
