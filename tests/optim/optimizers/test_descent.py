"""Who descends in place, what that leaves of a stack, and the scale of its gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raydnn.optim.optimizers.descent import descending, descends, others, scales
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.catalogue.fields import descent_of, nested_spec
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


WHATEVER_IT_IS = {
    *("seed", "data", "model", "activation", "init", "normalization", "output", "loss"),
    "schedule",  # a momentum that it cycles is the optimizer's
    *("optimizer.lr", "optimizer.nesterov", "optimizer.dampening", "optimizer.decay_bias"),
    *(f"regularization.{kind}dropout" for kind in ("", "input_", "alpha_")),
    "regularization.dropout_last_layer_only",
    *("regularization.elastic_net_beta", "regularization.layers", "regularization.label_smoothing"),
    "regularization.prune",  # once training has ended
    *("train.epochs", "train.batch_size", "train.precision", "train.class_weights", "train.diagnostics"),
    *("train.augmentation", "train.early_stopping", "train.checkpoint_every_epochs", "train.test_time_flips"),
    *("train.compile", "train.recompute"),
}
"""Fields, or whole parts, that change the gradient or what is done around a step, and not what the step is."""


def test_every_field_decides() -> None:
    """A field that is new has to say with which values a trial descends, or to stand among those above."""
    fields = {
        f"{part}.{name}" if part in ("optimizer", "regularization", "train") else part: field
        for part, whole in TrialSpec.model_fields.items()
        for name, field in (
            (Sgd if part == "optimizer" else nested_spec(whole.annotation) or TrialSpec).model_fields.items()
        )
    }
    fields |= {"optimizer": TrialSpec.model_fields["optimizer"]}
    del fields["optimizer.name"]
    declared = {path for path, field in fields.items() if descent_of(field) is not None}
    assert declared | WHATEVER_IT_IS == fields.keys()
    assert not declared & WHATEVER_IT_IS
    tried = {"optimizer", *(path for given in MOVED_BY_MORE for path in _leaves(given))}
    assert declared <= tried, "and is tried above"


def _leaves(given: dict[str, Any]) -> set[str]:
    return {f"{part}.{name}" for part, own in given.items() if isinstance(own, dict) for name in own}


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
