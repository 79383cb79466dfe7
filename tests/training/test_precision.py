"""Training in bfloat16: only the network's products are rounded, and a stack is still its members alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from raydnn.data.load import load_dataset
from raydnn.search.packing import pack
from raydnn.spec.trial import TrialSpec
from raydnn.training.loop import train
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")


def test_losses_are_near_those_of_float32(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    full, lowered = (make_trial(train={"precision": name}) for name in ("float32", "bfloat16"))
    (exact,), (rounded,) = fit([full]), fit([lowered])
    for found, expected in zip(rounded.rows, exact.rows, strict=True):
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=0.05)
        assert found["train_loss"] != expected["train_loss"]
    assert rounded.parameters.dtype == torch.float32
    pair = fit([lowered, make_trial(train={"precision": "bfloat16"}, optimizer="adam")])
    for found, expected in zip(pair[0].rows, rounded.rows, strict=True):
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=0.02)


def test_products_are_in_bfloat16_and_the_rest_is_not(make_trial: Callable[..., TrialSpec]) -> None:
    trial = make_trial(train={"precision": "bfloat16"})
    dataset = load_dataset(trial.data).to(CPU)
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    seen: list[torch.dtype] = []
    hook = stack.module.layers[0].register_forward_hook(lambda _module, _inputs, z: seen.append(z.dtype))
    next(train(stack, dataset, 1))
    hook.remove()
    assert set(seen) == {torch.bfloat16}
    assert stack.gradients.dtype == stack.parameters.dtype == torch.float32


def test_precisions_have_stacks_of_their_own(make_trial: Callable[..., TrialSpec]) -> None:
    trials = [make_trial(train={"precision": name}) for name in ("float32", "bfloat16", "float32")]
    assert [len(stack.trials) for stack in pack(trials, 8)] == [2, 1]
