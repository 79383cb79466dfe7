"""Magnitude pruning: what is left is the largest, and only what was asked for is touched."""

from __future__ import annotations

import pytest
import torch

from raydnn.nn.layers.dense import dense_layout
from raydnn.optim.pruning import prune
from raydnn.spec.axes.regularization import Regularization


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_the_largest_weights_stay(share: float) -> None:
    rng = torch.Generator().manual_seed(0)
    before = {"layers.0.weight": torch.randn(2, 5, 8, generator=rng), "layers.0.bias": torch.ones(2, 5)}
    after = {name: tensor.clone() for name, tensor in before.items()}
    prune([Regularization(prune=share), Regularization()], dense_layout("layers.0", 8, 5), after)
    weights, pruned = before["layers.0.weight"], after["layers.0.weight"]
    gone = pruned[0] == 0
    assert gone.sum() == int(share * 40)
    assert torch.equal(pruned[0][~gone], weights[0][~gone])
    if gone.any():
        assert weights[0][gone].abs().max() <= weights[0][~gone].abs().min()
    assert torch.equal(pruned[1], weights[1])
    assert torch.equal(after["layers.0.bias"], before["layers.0.bias"])


def test_only_the_layers_named() -> None:
    parameters = {f"layers.{k}.weight": torch.randn(1, 4, 4) for k in range(2)}
    layout = dense_layout("layers.0", 4, 4, bias=False).followed_by(
        dense_layout("layers.1", 4, 4, bias=False)
    )
    prune([Regularization(prune=0.5, layers=("layers.1",))], layout, parameters)
    assert [(tensor == 0).sum().item() for tensor in parameters.values()] == [0, 8]
