"""Batches of every size: one example, all of them, and several that make one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from raydnn.spec.trial import TrialSpec

MakeTrial = Callable[..., TrialSpec]
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9}


@pytest.mark.parametrize(("batch_size", "accumulate"), [(7, 3), (16, 2), (1, 5), (50, 3), (100, 9)])
def test_accumulated_batches_step_as_one_larger_batch(
    make_trial: MakeTrial, fit: Callable[..., Any], batch_size: int, accumulate: int
) -> None:
    def trials(train: dict[str, int]) -> list[TrialSpec]:
        return [
            make_trial(seed=1, optimizer=SGD, schedule="cosine", train={"clip": "norm", **train}),
            make_trial(seed=2, optimizer="adam", train=train),
        ]

    found = fit(trials({"batch_size": batch_size, "accumulate": accumulate}))
    expected = fit(trials({"batch_size": batch_size * accumulate}))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.parameters, other.parameters, rtol=1e-4, atol=1e-5)
        for row, wanted in zip(one.rows, other.rows, strict=True):
            assert row == pytest.approx(wanted, rel=1e-4)
            assert (row["step"], row["lr"]) == (wanted["step"], wanted["lr"])


def test_a_full_batch_is_all_examples(make_trial: MakeTrial, fit: Callable[..., Any]) -> None:
    (full,) = fit([make_trial(train={"batch_size": "full", "accumulate": 3})])
    (whole,) = fit([make_trial(train={"batch_size": 120})])
    assert full.parameters.equal(whole.parameters)
    assert full.rows == whole.rows
    assert [row["step"] for row in full.rows] == [1, 2, 3]


@pytest.mark.parametrize("batch_size", [1, "full"])
def test_a_stack_trains_each_member_as_if_alone(
    make_trial: MakeTrial, fit: Callable[..., Any], batch_size: int | str
) -> None:
    train = {"batch_size": batch_size, "epochs": 2}
    trials = [make_trial(seed=seed, optimizer=SGD, train=train) for seed in (1, 2)]
    for together, trial in zip(fit(trials), trials, strict=True):
        (alone,) = fit([trial])
        torch.testing.assert_close(together.parameters, alone.parameters, rtol=1e-4, atol=1e-5)


def test_a_full_batch_is_null_in_its_integer_column(make_trial: MakeTrial) -> None:
    spec = make_trial(train={"batch_size": "full"})
    assert "train.batch_size" not in spec.parameters()
    assert TrialSpec.from_json(spec.config_json) == spec
    assert spec.config_hash != make_trial(train={"batch_size": 120}).config_hash
