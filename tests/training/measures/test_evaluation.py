"""Evaluation and the numbers measured in training, recomputed example by example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raydnn.data.batches import order
from raydnn.data.dataset import Dataset
from raydnn.data.in_memory import InMemory
from raydnn.data.load import load_dataset
from raydnn.nn.losses import LOSSES
from raydnn.spec.trial import TrialSpec
from raydnn.training.epoch import train_epoch
from raydnn.training.measures.evaluation import CHUNK, evaluate
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.stack.summary import summarize
from raydnn.training.steps.passes import Passes
from raydnn.training.workers import Workers

CPU = torch.device("cpu")


def _stack(trials: list[TrialSpec]) -> tuple[Stack, Dataset]:
    dataset = load_dataset(trials[0].data).to(CPU)
    return Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), CPU), dataset


@pytest.mark.parametrize("size", [1, 30, CHUNK["cpu"], CHUNK["cpu"] + 1, 3 * CHUNK["cpu"] - 7])
def test_loss_and_accuracy_are_means_over_all_examples(
    make_trial: Callable[..., TrialSpec], size: int
) -> None:
    stack, _ = _stack([make_trial(seed=seed, regularization={"dropout": 0.5}) for seed in range(3)])
    generator = torch.Generator().manual_seed(0)
    split = InMemory(
        torch.randn(size, 6, generator=generator), torch.randint(3, (size,), generator=generator)
    )
    loss, accuracy = evaluate(stack, split)
    with torch.no_grad():
        outputs = stack.module(split.inputs).double()
    assert accuracy is not None
    for member in range(3):
        expected = torch.nn.functional.cross_entropy(outputs[member], split.targets)
        assert loss[member].item() == pytest.approx(expected.item(), rel=1e-5)
        hits = (outputs[member].argmax(1) == split.targets).double().mean()
        assert accuracy[member].item() == pytest.approx(hits.item(), rel=1e-6)


def probabilities(output: str, outputs: torch.Tensor) -> torch.Tensor:
    return outputs.softmax(-1) if output == "softmax" else outputs.sigmoid()


@pytest.mark.parametrize(
    ("kind", "targets", "output"),
    [
        ("classification", lambda rng: rng.integers(3, size=60), "softmax"),
        ("binary", lambda rng: rng.integers(2, size=60), "sigmoid"),
        ("multi_label", lambda rng: rng.integers(2, size=(60, 4)), "sigmoid"),
        ("regression", lambda rng: rng.normal(size=(60, 2)), "linear"),
    ],
)
def test_flips_average_the_probabilities_of_an_image_and_its_mirror_image(
    make_trial: Callable[..., TrialSpec],
    tmp_path: Path,
    kind: str,
    targets: Callable[[Any], Any],
    output: str,
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "pictures.npz"
    np.savez(path, inputs=rng.normal(size=(60, 3, 4, 4)) * 3, targets=targets(rng))
    data = {"name": "npz", "path": str(path), "kind": kind, "target_scaling": "none"}
    stack, dataset = _stack(
        [make_trial(data=data, seed=seed, train={"test_time_flips": True}) for seed in (0, 1)]
    )
    inputs, wanted = next(dataset.train.chunks(len(dataset.train)))
    loss, accuracy = evaluate(stack, dataset.train, flips=True)
    with torch.no_grad():
        sides = [stack.module(side.unsqueeze(0)).double() for side in (inputs, inputs.flip(3))]
    for member in range(2):
        if output == "linear":
            expected = ((sides[0][member] + sides[1][member]) / 2 - wanted).square().mean()
        else:
            mean = sum(probabilities(output, side[member]) for side in sides) / 2
            assert isinstance(mean, torch.Tensor)
            truth = torch.eye(3)[wanted] if output == "softmax" else wanted.view(mean.shape)
            logs = truth * mean.log() + (0 if output == "softmax" else (1 - truth) * (1 - mean).log())
            expected = -logs.sum(1).mean() if output == "softmax" else -logs.mean()
            right = mean.argmax(1) == wanted if output == "softmax" else (mean > 0.5) == (truth > 0.5)
            assert accuracy is not None
            assert accuracy[member].item() == pytest.approx(right.double().mean().item())
        assert loss[member].item() == pytest.approx(expected.item(), rel=1e-5)
    assert not torch.equal(loss, evaluate(stack, dataset.train)[0])


@pytest.mark.parametrize("chunk", [16, 4096])
def test_a_triplet_loss_depends_neither_on_the_order_of_the_examples_nor_on_the_device(
    make_trial: Callable[..., TrialSpec], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    losses = [{"name": "triplet", "margin": margin, "embedding": 4} for margin in (0.5, 1.0)]
    stack, dataset = _stack([make_trial(loss=loss) for loss in losses])
    whole, accuracy = evaluate(stack, dataset.train)
    assert accuracy is None
    assert (whole > 0).all()
    order = dataset.train.targets.argsort()
    by_class = InMemory(dataset.train.inputs[order], dataset.train.targets[order])
    monkeypatch.setitem(CHUNK, "cpu", chunk)
    torch.testing.assert_close(evaluate(stack, by_class)[0], whole)


@pytest.mark.parametrize("batch_size", [1, 16, 17, 120, 1000])
def test_an_epoch_visits_every_example_once_in_its_order(
    make_trial: Callable[..., TrialSpec], batch_size: int
) -> None:
    """With learning rate 0 nothing moves, so the training numbers are those of one pass."""
    stack, dataset = _stack([make_trial(seed=seed, train={"batch_size": batch_size}) for seed in (0, 1)])
    n = len(dataset.train)
    steps = -(-n // batch_size)
    before = stack.parameters.clone()
    measured = train_epoch(Passes(stack, dataset.train), 1, torch.zeros(2, steps, 2, dtype=torch.float64))
    assert torch.equal(stack.parameters, before)
    loss, accuracy = evaluate(stack, dataset.train)
    torch.testing.assert_close(measured.train_loss, loss)
    torch.testing.assert_close(measured.train_accuracy, accuracy)
    plain = stack.architecture.module(stack.parameters, [m.spec for m in stack.members])
    for member in range(2):
        last = order(member, 1, n)[(steps - 1) * batch_size :]
        outputs = plain(dataset.train.inputs[last])[member]
        mean = LOSSES["cross_entropy"](outputs.unsqueeze(0), dataset.train.targets[last]).mean()
        gradients = torch.autograd.grad(mean, list(plain.parameters()))
        norm = torch.cat([gradient[member].flatten() for gradient in gradients]).norm()
        assert measured.grad_norm[member].item() == pytest.approx(norm.item(), rel=1e-4)


def test_the_summary_counts_what_is_trained(
    make_trial: Callable[..., TrialSpec], classes: dict[str, Any]
) -> None:
    spec = make_trial(train={"batch_size": 17})
    summary = summarize(spec)
    stack, dataset = _stack([spec])
    assert summary.parameters == stack.layout.count == sum(row.parameters for row in summary.layers)
    assert summary.examples == {"train": 120, "validation": 30, "test": 31}
    assert summary.steps_per_epoch == 8
    assert len(dataset.train) == 120
