"""Who descends in place, what that leaves of a stack, and the scale of its gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raydnn.optim.optimizers.descent import descending, descends, others, scales
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec

MOVED_BY_MORE: list[dict[str, Any]] = [
    {"optimizer": {"name": "sgd", "momentum": 0.9}},
    {"optimizer": {"name": "sgd", "weight_decay": 1e-3}},
    {"schedule": "one_cycle"},  # it cycles a momentum
    {"regularization": {"l1": 1e-3}},
    {"regularization": {"l2": 1e-3}},
    {"regularization": {"elastic_net": 1e-3}},
    {"regularization": {"max_norm": 1.0}},
    {"train": {"clip": {"name": "norm", "max_grad_norm": 1.0}}},
    {"train": {"accumulate": 2}},
    *({"optimizer": name} for name in components("optimizer") if name != "sgd"),
]


def _trial(**fields: Any) -> TrialSpec:
    given = {"data": "digits", "optimizer": {"name": "sgd", "lr": 0.1}, **fields}
    return TrialSpec.from_training(Training.model_validate(given))


@pytest.mark.parametrize("fields", MOVED_BY_MORE, ids=str)
def test_what_more_than_the_gradient_moves_does_not_descend(fields: dict[str, Any]) -> None:
    assert not descends(_trial(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"schedule": "cosine"},
        {"schedule": {"name": "one_cycle", "cycle_momentum": False}},
        {"regularization": {"dropout": 0.5, "label_smoothing": 0.1, "prune": 0.5}},
        {"normalization": "batch_norm"},
    ],
    ids=str,
)
def test_plain_gradient_descent_descends(fields: dict[str, Any]) -> None:
    assert descends(_trial(**fields))


def test_neighbours_descend_together() -> None:
    plain, not_plain = _trial(), _trial(optimizer="adam")
    assert descending([plain, plain, not_plain, plain]) == [slice(0, 2), slice(3, 4)]
    assert descending([not_plain]) == []


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_others_are_all_the_rest(flags: list[bool], one: int, two: int) -> None:
    own = descending([_PLAIN if flag else _OTHER for flag in flags])
    start, stop = min(one, two, len(flags)), min(max(one, two), len(flags))
    left = [position for part in others(own, start, stop) for position in range(part.start, part.stop)]
    assert left == [position for position in range(start, stop) if not flags[position]]


def test_scales() -> None:
    lr = torch.tensor([[0.1, 0.2, 0.4], [0.3, 0.2, 0.8]], dtype=torch.float64)
    first, second = scales(lr, [slice(1, 3)], 4, torch.float32)
    assert first.shape == (3, 1, 1)
    torch.testing.assert_close(first.flatten(), torch.tensor([0.25, -0.05, -0.1]))
    torch.testing.assert_close(second.flatten(), torch.tensor([0.25, -0.05, -0.2]))


_PLAIN, _OTHER = _trial(), _trial(optimizer="adam")
