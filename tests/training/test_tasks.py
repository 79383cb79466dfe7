"""Every loss on every task it fits: members of a stack are trained as if alone, and learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from raydnn.data.inputs import Inputs
from raydnn.nn.models.registry import architecture
from raydnn.spec.axes.loss_function import LossFunction
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.data import Task
from raydnn.training.stack.summary import summarize

WITHOUT_CLASSES = ("regression", "multi_label", "distribution", "reconstruction")
PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "huber": [{"delta": delta} for delta in (0.1, 0.5, 1.0, 10.0)],
    "focal": [{"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 2.0, "alpha": 0.9}, {"gamma": 5.0}],
    "dice": [{"smooth": smooth} for smooth in (0.1, 0.5, 1.0, 2.0)],
    "triplet": [{"margin": margin, "embedding": 4} for margin in (0.2, 0.5, 1.0, 2.0)],
    "function": [{"path": "their_losses:quartic"}] * 4,
}
CASES = [
    (task, name)
    for name, cls in components("loss").items()
    if issubclass(cls, LossFunction)
    for task in get_args(Task)
    if task in cls.outputs
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Task → a small data set that can be learned, with weights of its examples."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(160, 6)).astype(np.float32)
    scores = inputs @ rng.normal(size=(6, 3))
    targets = {
        "classification": scores.argmax(1),
        "regression": np.tanh(scores),
        "binary": (scores[:, 0] > 0).astype(int),
        "multi_label": (scores > 0).astype(int),
        "distribution": np.exp(scores) / np.exp(scores).sum(1, keepdims=True),
    }
    folder = tmp_path_factory.mktemp("tasks")
    found = {}
    for task, values in targets.items():
        path = folder / f"{task}.npz"
        np.savez(path, inputs=inputs, targets=values, importance=rng.uniform(0.5, 1.5, 160))
        found[task] = {"name": "npz", "path": str(path), "kind": task, "validation": 40}
    found["reconstruction"] = {**found["regression"], "reconstruct": True}
    return found


@pytest.fixture(autouse=True)
def _their_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "import torch",
        "def quartic(outputs, targets):",
        "    if not targets.is_floating_point():",
        "        targets = torch.nn.functional.one_hot(targets, outputs.shape[1])",
        "    return (outputs - targets).pow(4).mean(1)",
    )
    (tmp_path / "their_losses.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_stack_equals_its_members_alone_and_learns(
    make_trial: Callable[..., Any],
    fit: Callable[..., Any],
    data: dict[str, dict[str, Any]],
    task: Task,
    name: str,
) -> None:
    cls = components("loss")[name]
    assert issubclass(cls, LossFunction)
    classes = 2 if task == "binary" else 3
    weights = ["none", "balanced", [1.0, 0.5, 2.0][:classes], "balanced"]
    trials = [
        make_trial(
            data={**data[task], "weights": "importance"},
            loss={"name": name, **(PARAMETERS[name][k] if name in PARAMETERS else {})},
            regularization={"label_smoothing": 0.1 * k if cls.smooths else 0.0},
            activation=["relu", "rrelu", "tanh", "elu"][k],
            optimizer={"name": "adam", "lr": 0.02},
            seed=k // 2,
            train={"class_weights": "none" if task in WITHOUT_CLASSES else weights[k], "epochs": 5},
        )
        for k in range(4)
    ]
    together = fit(trials, drop={3: {2}})
    for k, (found, trial) in enumerate(zip(together, trials, strict=True)):
        (alone,) = fit([trial])
        first, last = alone.rows[0], alone.rows[-1]
        assert last["train_loss"] < first["train_loss"]
        assert ("validation_accuracy" in last) == (
            cls.decides and task not in ("regression", "reconstruction")
        )
        for row, expected in zip(found.rows, alone.rows[: 3 if k == 2 else 5], strict=True):
            assert row == pytest.approx(expected, rel=1e-4, abs=1e-6)
    if cls.decides and not cls.takes_values:
        assert max(found.rows[-1]["validation_accuracy"] for found in together) > 0.7


def test_a_summary_counts_the_outputs_that_the_loss_needs(
    make_trial: Callable[..., Any], data: dict[str, dict[str, Any]]
) -> None:
    def outputs(task: str, loss: Any) -> int:
        summary = summarize(make_trial(data=data[task], loss=loss))
        return summary.layers[-1].shape[0]

    assert outputs("binary", "auto") == 1
    assert outputs("binary", "cross_entropy") == 2
    assert outputs("classification", "auto") == 3
    assert outputs("classification", {"name": "triplet", "embedding": 7}) == 7
    assert outputs("multi_label", "auto") == 3


def test_weights_of_examples_change_what_is_learned(
    make_trial: Callable[..., Any], fit: Callable[..., Any], data: dict[str, dict[str, Any]]
) -> None:
    (weighted,) = fit([make_trial(data={**data["binary"], "weights": "importance"})])
    (unweighted,) = fit([make_trial(data=data["binary"])])
    assert not torch.equal(weighted.parameters, unweighted.parameters)


def test_the_perceptron_rule_learns_what_can_be_separated(
    make_trial: Callable[..., Any], fit: Callable[..., Any], data: dict[str, dict[str, Any]]
) -> None:
    trial = make_trial(
        data=data["binary"],
        activation="linear",
        init="lecun_normal",
        loss="perceptron",
        optimizer={"name": "sgd", "lr": 0.05},
        train={"epochs": 12, "batch_size": 1},
    )
    assert trial.output.name == "heaviside"
    (found,) = fit([trial])
    assert found.rows[-1]["train_accuracy"] > 0.9


def test_prelu_members_train_their_slopes(make_trial: Callable[..., Any], fit: Callable[..., Any]) -> None:
    trials = [
        make_trial(activation={"name": "prelu", "alpha": a}, seed=k)
        for k, a in enumerate((0.0, 0.1, 0.25, 0.9))
    ]
    layout = architecture(trials[0], Inputs((6,)), 3).layout
    for found, trial in zip(fit(trials, drop={2: {1}}), trials, strict=True):
        (alone,) = fit([trial])
        for row, expected in zip(found.rows, alone.rows, strict=False):
            assert row == pytest.approx(expected, rel=1e-5, abs=1e-7)
        slopes = layout.views(alone.parameters.unsqueeze(0))["layers.0.alpha"][0]
        assert not torch.allclose(slopes, torch.full((8,), trial.activation.alpha))
