"""The kinds of dropout: what they keep, which layers they act on, and that company changes nothing."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from raydnn.nn.layers.dropout import SELU_FLOOR, Dropout, alpha_dropout
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")


def _trial(seed: int = 0, **regularization: Any) -> TrialSpec:
    given = {"data": "digits", "optimizer": "sgd", "regularization": regularization, "seed": seed}
    return TrialSpec.from_training(Training.model_validate(given))


def _dropped(trials: list[TrialSpec], layers: int = 2) -> list[Tensor]:
    """Inputs of 1, and then hidden units of 1 in each layer, after dropout."""
    context = Context(Noise([trial.seed for trial in trials], 1, CPU), 40)
    found = Dropout(trials, CPU)
    ones = torch.ones(len(trials), 40, 50)
    terms = [found.of_hidden((50,), context, layer == layers - 1) for layer in range(layers)]
    hidden = [ones if of_layer is None else of_layer.of(ones) for of_layer in terms]
    return [found.of_inputs(ones, context), *hidden]


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate: float) -> None:
    generator = torch.Generator().manual_seed(0)
    n = 400_000
    hidden = torch.randn(1, 1, n, generator=generator)
    draws = torch.rand(1, 1, n, generator=generator)
    found = alpha_dropout(draws, torch.tensor([[[rate]]])).of(hidden)
    assert found.mean().item() == pytest.approx(0, abs=5 / sqrt(n))
    assert found.var().item() == pytest.approx(1, abs=0.02)
    # The dropped are at a·(−λα) + b, and everything else is affine, as in torch's function.
    q = 1 - rate
    a = (q + SELU_FLOOR**2 * q * rate) ** -0.5
    b = -a * SELU_FLOOR * rate
    torch.testing.assert_close(found, a * torch.where(draws >= rate, hidden, SELU_FLOOR) + b)
    torch.manual_seed(0)
    theirs = torch.nn.functional.alpha_dropout(torch.zeros(1000), rate, training=True)
    assert sorted(set(theirs.tolist())) == pytest.approx(sorted((b, a * SELU_FLOOR + b)), rel=1e-5)


def test_each_kind_acts_where_it_should() -> None:
    inputs, first, last = _dropped(
        [
            _trial(input_dropout=0.3),
            _trial(dropout=0.5),
            _trial(dropout=0.5, dropout_last_layer_only=True),
            _trial(alpha_dropout=0.2, dropout_last_layer_only=True),
            _trial(alpha_dropout=0.2),
            _trial(),
        ]
    )
    changed = [[bool((t[member] != 1).any()) for t in (inputs, first, last)] for member in range(6)]
    assert changed == [
        [True, False, False],
        [False, True, True],
        [False, False, True],
        [False, False, True],
        [False, True, True],
        [False, False, False],
    ]
    assert (inputs[0] == 0).double().mean().item() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(last[1], last[2])


def test_a_members_draws_do_not_depend_on_the_company() -> None:
    trials = [
        _trial(1, dropout=0.5, dropout_last_layer_only=True),
        _trial(2, input_dropout=0.4, alpha_dropout=0.1),
        _trial(1, dropout=0.2),
        _trial(1, input_dropout=0.1),
    ]
    together = _dropped(trials, layers=3)
    for member, trial in enumerate(trials):
        for found, alone in zip(together, _dropped([trial], layers=3), strict=True):
            assert torch.equal(found[member], alone[0])
