"""The objective of a stack: output activations, smoothing and weights, each member's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from raydnn.errors import JobError
from raydnn.nn.objective import Objective, class_weights
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec

CPU = torch.device("cpu")
BINARY = {"name": "npz", "path": "a.npz", "kind": "binary"}
OUTPUTS = torch.randn(4, 8, 3, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 2, 2, 0, 1, 0, 0])


def trial(**fields: Any) -> TrialSpec:
    return TrialSpec.from_training(
        Training.model_validate({"data": "digits", "optimizer": "sgd", "loss": "cross_entropy", **fields})
    )


def smoothed(share: float) -> TrialSpec:
    return trial(regularization={"label_smoothing": share})


def weighed(weights: Any) -> TrialSpec:
    return trial(train={"class_weights": weights})


def test_every_member_smooths_in_its_own_way_and_only_in_training() -> None:
    shares = [0.0, 0.1, 0.5, 0.9]
    objective = Objective([smoothed(share) for share in shares], None, CPU)
    training = objective.training(OUTPUTS, CLASSES, None)
    evaluation = objective.evaluation(OUTPUTS, CLASSES)
    for k, share in enumerate(shares):
        expected = functional.cross_entropy(OUTPUTS[k], CLASSES, reduction="none", label_smoothing=share)
        torch.testing.assert_close(training[k], expected)
        torch.testing.assert_close(
            evaluation[k], functional.cross_entropy(OUTPUTS[k], CLASSES, reduction="none")
        )


def test_every_member_weighs_classes_in_its_own_way_and_only_in_training() -> None:
    counts = torch.bincount(CLASSES)
    members = [weighed("none"), weighed("balanced"), weighed([1.0, 0.0, 2.5]), weighed([2, 2, 2])]
    tables = [[1, 1, 1], [8 / 12, 8 / 6, 8 / 6], [1, 0, 2.5], [2, 2, 2]]
    objective = Objective(members, counts, CPU)
    plain = objective.evaluation(OUTPUTS, CLASSES)
    found = objective.training(OUTPUTS, CLASSES, None)
    for k, table in enumerate(tables):
        torch.testing.assert_close(found[k], plain[k] * torch.tensor(table)[CLASSES])
        # torch divides by the weights' sum, here the batch's size does, whatever is in the batch.
        torchs = functional.cross_entropy(
            OUTPUTS[k], CLASSES, weight=torch.tensor(table, dtype=torch.float32)
        )
        total = torch.tensor(table)[CLASSES].sum()
        torch.testing.assert_close(found[k].sum() / total, torchs)
    own = CLASSES.expand(4, -1).clone()
    own[1] = own[1].flip(0)
    torch.testing.assert_close(
        objective.training(OUTPUTS, own, None)[1],
        objective.evaluation(OUTPUTS, own)[1] * torch.tensor(tables[1])[own[1]],
    )


def test_balanced_weights_average_to_one() -> None:
    weights = class_weights(weighed("balanced"), torch.tensor([90, 9, 1]))
    assert (weights * torch.tensor([0.9, 0.09, 0.01])).sum().item() == pytest.approx(1)
    assert weights.tolist() == pytest.approx([100 / 270, 100 / 27, 100 / 3])


def test_as_many_weights_as_classes_are_needed() -> None:
    with pytest.raises(
        JobError, match=r"train\.class_weights: 2 weights are given; 3 are needed, one a class"
    ):
        class_weights(weighed([1.0, 2.0]), torch.tensor([1, 1, 1]))


def test_weights_of_examples_multiply() -> None:
    objective = Objective([weighed("none")] * 4, torch.bincount(CLASSES), CPU)
    weights = torch.arange(8.0)
    plain = objective.evaluation(OUTPUTS, CLASSES)
    torch.testing.assert_close(objective.training(OUTPUTS, CLASSES, weights), plain * weights)
    own = torch.rand(4, 8)
    torch.testing.assert_close(objective.training(OUTPUTS, CLASSES, own), plain * own)


def test_outputs_are_activated_for_a_loss_of_values_and_not_for_one_of_logits() -> None:
    members = [trial(loss="mse", output=name) for name in ("auto", "softmax", "sigmoid", "tanh")]
    found = Objective(members, None, CPU).evaluation(OUTPUTS, CLASSES)
    one_hot = functional.one_hot(CLASSES, 3).float()
    activated = [OUTPUTS[0], OUTPUTS[1].softmax(-1), OUTPUTS[2].sigmoid(), OUTPUTS[3].tanh()]
    for k, outputs in enumerate(activated):
        torch.testing.assert_close(found[k], (outputs - one_hot).square().mean(-1))
    members = [trial(output="softmax"), trial(output="linear")]
    logits = Objective(members, None, CPU).evaluation(OUTPUTS[:2], CLASSES)
    torch.testing.assert_close(logits[1], functional.cross_entropy(OUTPUTS[1], CLASSES, reduction="none"))
    thresholds = [trial(data=BINARY, loss="perceptron", output=name) for name in ("heaviside", "sign")]
    scores = OUTPUTS[:2, :, :1].clone().requires_grad_()
    loss = Objective(thresholds, None, CPU).training(scores, CLASSES.clamp(max=1), None)
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert gradient.any()


def test_parameters_of_the_loss_are_each_members_own() -> None:
    members = [trial(loss={"name": "huber", "delta": delta}) for delta in (0.1, 1.0, 5.0, 20.0)]
    found = Objective(members, None, CPU).training(10 * OUTPUTS, CLASSES, None)
    for k, member in enumerate(members):
        alone = Objective([member], None, CPU).training(10 * OUTPUTS[k : k + 1], CLASSES, None)
        assert torch.equal(found[k : k + 1], alone)
