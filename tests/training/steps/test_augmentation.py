"""Augmented training: members of a stack as if alone, with evaluation left as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from raydnn.data.augmentation.cutmix import boxes
from raydnn.data.augmentation.mixup import shares
from raydnn.data.batches import order
from raydnn.data.load import load_dataset
from raydnn.errors import JobError
from raydnn.spec.trial import TrialSpec
from raydnn.training.epoch import train_epoch
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.stack.summary import summarize
from raydnn.training.steps.passes import Passes
from raydnn.training.workers import Workers

CPU = torch.device("cpu")

DIGITS = {"name": "digits", "scaling": "unit", "validation": 1500}
ALL = {
    **{"flip": 0.5, "rotate": 15.0, "scale": 0.1, "shear": 10.0, "crop": 1, "translate": 1},
    **{"randaugment": 1, "color_jitter": 0.4, "noise": 0.1, "cutout": 2, "random_erasing": 0.3},
    **{"mixup": 0.4, "cutmix": 1.0},
}


def test_members_are_augmented_as_if_alone(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    settings = [ALL, {}, {"translate": 2}]
    trials = [
        make_trial(data=DIGITS, seed=seed, train={"epochs": 2, "augmentation": augmentation})
        for seed, augmentation in zip((1, 1, 2), settings, strict=True)
    ]
    together = fit(trials)
    alone = [fit([trial])[0] for trial in trials]
    for found, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(found.parameters, expected.parameters, rtol=1e-4, atol=1e-5)
    assert not alone[0].parameters.equal(alone[1].parameters)


def test_a_member_is_the_same_to_the_bit_whatever_its_neighbour_does(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    def trial(seed: int, augmentation: dict[str, Any]) -> TrialSpec:
        train = {"epochs": 2, "batch_size": 64, "augmentation": augmentation}
        return make_trial(data=DIGITS, seed=seed, train=train)

    for own in (ALL, {}):
        found = [fit([trial(1, own), trial(2, neighbour)])[0] for neighbour in (ALL, {}, {"mixup": 1.0})]
        for other in found[1:]:
            assert other.rows == found[0].rows
            assert other.parameters.equal(found[0].parameters)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_mixup_has_the_gradient_of_mixed_targets(
    make_trial: Callable[..., TrialSpec], loss: str, weighted: bool, accumulate: int
) -> None:
    train = {"batch_size": 50, "accumulate": accumulate, "augmentation": {"mixup": 0.7}}
    trial = make_trial(loss=loss, seed=3, model="perceptron", train=train)
    dataset = load_dataset(trial.data).to(CPU)
    n = len(dataset.train)
    weights = torch.linspace(0.5, 2, n) if weighted else None
    split = replace(dataset.train, weights=weights)
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    weight, bias = (t.requires_grad_() for t in stack.member_parameters(0).values())
    # With a learning rate of 0 every step has the first parameters.
    metrics = train_epoch(Passes(stack, split), 5, torch.zeros(2, 3 // accumulate, 1, dtype=torch.float64))

    drawn = shares(0.7, 3, 5, 3)
    totals = []
    for share, rows in zip(drawn, order(3, 5, n).split(50), strict=True):
        others = torch.cat([rows[-1:], rows[:-1]])
        inputs = share * split.inputs[rows] + (1 - share) * split.inputs[others]
        outputs = inputs @ weight.T + bias
        sides = [torch.eye(3)[split.targets[side]] for side in (rows, others)]
        factors = [torch.ones(len(rows)) if weights is None else weights[side] for side in (rows, others)]
        mixed = share * factors[0][:, None] * sides[0] + (1 - share) * factors[1][:, None] * sides[1]
        if loss == "cross_entropy":
            totals.append(-(mixed * outputs.log_softmax(1)).sum())
        else:
            errors = [(outputs - side).square().mean(1) for side in sides]
            totals.append((share * factors[0] * errors[0] + (1 - share) * factors[1] * errors[1]).sum())
    last_step = totals[-1] / 20 if accumulate == 1 else sum(totals) / n
    last_step.backward()  # type: ignore[no-untyped-call]
    for found, leaf in zip(stack.layout.views(stack.gradients).values(), (weight, bias), strict=True):
        torch.testing.assert_close(found[0], leaf.grad, rtol=1e-4, atol=1e-6)
    assert metrics.train_loss.item() == pytest.approx(sum(t.item() for t in totals) / n, rel=1e-5)


@pytest.mark.parametrize("loss", ["triplet", "categorical_hinge", {"name": "focal", "gamma": 2.0}])
def test_mixup_goes_with_every_kind_of_loss(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any], loss: Any
) -> None:
    trial = make_trial(loss=loss, train={"epochs": 4, "augmentation": {"mixup": 0.3}})
    (found,) = fit([trial])
    assert found.rows[-1]["train_loss"] < found.rows[0]["train_loss"]


def test_inputs_that_are_no_images_are_refused_before_training(make_trial: Callable[..., TrialSpec]) -> None:
    with pytest.raises(JobError, match=r"train\.augmentation: needs images of height × width"):
        summarize(make_trial(train={"augmentation": {"cutout": 2}}))


def test_cutmix_learns_both_targets_by_their_areas(make_trial: Callable[..., TrialSpec]) -> None:
    train = {"batch_size": 50, "augmentation": {"cutmix": 1.0}}
    trial = make_trial(data="color_pictures", seed=3, model="perceptron", train=train)
    dataset = load_dataset(trial.data).to(CPU)
    inputs, targets, n = dataset.train.inputs, dataset.train.targets, len(dataset.train)  # type: ignore[attr-defined]
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    weight, bias = stack.member_parameters(0).values()
    # With a learning rate of 0 every step has the first parameters.
    metrics = train_epoch(Passes(stack, dataset.train), 5, torch.zeros(2, 3, 1, dtype=torch.float64))

    total = 0.0
    for box, rows in zip(boxes(1.0, 3, 5, 3, 8, 8), order(3, 5, n).split(50), strict=True):
        top, left, height, width = box.int().tolist()
        others = rows.roll(1)
        pasted = inputs[rows].clone()
        at = (..., slice(top, top + height), slice(left, left + width))
        pasted[at] = inputs[others][at]
        logs = (pasted.flatten(1) @ weight.T + bias).log_softmax(1)
        share = 1 - height * width / 64
        sides = [logs[range(len(rows)), targets[side]].sum() for side in (rows, others)]
        total -= (share * sides[0] + (1 - share) * sides[1]).item()
    assert metrics.train_loss.item() == pytest.approx(total / n, rel=1e-5)
