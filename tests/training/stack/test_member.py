"""A member's memory: best values, and JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable

from raydnn.spec.trial import TrialSpec
from raydnn.training.stack.member import Member, trial_id

NAN, INF = float("nan"), float("inf")


def test_the_best_value_is_the_first_finite_one(make_trial: Callable[..., TrialSpec]) -> None:
    member = Member(0, make_trial())
    assert member.best("train_loss", "min") is None
    member.history["train_loss"] = [NAN, 2.0, 1.0, 1.0, -INF, NAN]
    assert member.best("train_loss", "min") == (1.0, 3)
    assert member.best("train_loss", "max") == (2.0, 2)
    member.history["train_loss"] = [NAN, INF]
    assert member.best("train_loss", "min") is None


def test_json_keeps_everything(make_trial: Callable[..., TrialSpec]) -> None:
    member = Member(12, make_trial(optimizer="adamw"))
    member.history["train_loss"] = [0.1 + 0.2, 1e-300]
    member.rung, member.test, member.seconds = 2, {"loss": 1 / 3}, 0.7
    member.end("STOPPED", "asha")
    assert Member.from_json(json.loads(json.dumps(member.to_json()))) == member
    assert member.trial_id == trial_id(12) == "t00012"
    assert not member.running
    assert member.epochs == 2
