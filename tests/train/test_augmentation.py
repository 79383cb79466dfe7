"""Augmented training: members of a stack as if alone, with evaluation left as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from raydnn.errors import JobError
from raydnn.spec.trial import TrialSpec
from raydnn.train.summary import summarize

DIGITS = {"name": "digits", "scaling": "unit", "validation": 1500}


def test_members_are_augmented_as_if_alone(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    settings = [{"flip": 0.5, "translate": 1, "noise": 0.1, "cutout": 2}, {}, {"translate": 2}]
    trials = [
        make_trial(data=DIGITS, seed=seed, train={"epochs": 2, "augmentation": augmentation})
        for seed, augmentation in zip((1, 1, 2), settings, strict=True)
    ]
    together = fit(trials)
    alone = [fit([trial])[0] for trial in trials]
    for found, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(found.parameters, expected.parameters, rtol=1e-4, atol=1e-5)
    assert not alone[0].parameters.equal(alone[1].parameters)


def test_inputs_that_are_no_images_are_refused_before_training(make_trial: Callable[..., TrialSpec]) -> None:
    with pytest.raises(JobError, match=r"train\.augmentation: needs images of height × width"):
        summarize(make_trial(train={"augmentation": {"cutout": 2}}))
