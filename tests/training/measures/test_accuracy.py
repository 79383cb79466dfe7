"""Accuracy by task, on cases worked out by hand."""

from __future__ import annotations

import pytest
import torch

from raydnn.spec.data import Task
from raydnn.training.measures.accuracy import hits


@pytest.mark.parametrize(
    ("task", "outputs", "targets", "expected"),
    [
        ("classification", [[1, 2, 0], [3, 2, 1]], torch.tensor([1, 2]), [1, 0]),
        ("binary", [[0.1], [-0.1]], torch.tensor([1, 1]), [1, 0]),
        ("binary", [[0.1, 0.2], [3, 2]], torch.tensor([1, 1]), [1, 0]),
        ("multi_label", [[1, -1, 2], [-1, -2, -3]], torch.tensor([[1.0, 0, 0], [0, 0, 0]]), [2 / 3, 1]),
        ("distribution", [[1, 2], [2, 1]], torch.tensor([[0.4, 0.6], [0.2, 0.8]]), [1, 0]),
    ],
)
def test_hits(task: Task, outputs: list[list[float]], targets: torch.Tensor, expected: list[float]) -> None:
    members = torch.tensor([outputs, (-torch.tensor(outputs)).tolist()], dtype=torch.float32)
    found = hits(task, members, targets)
    assert found.shape == (2, 2)
    assert found[0].tolist() == pytest.approx(expected)
    own = targets.expand(2, *targets.shape)
    assert torch.equal(hits(task, members, own), found)
