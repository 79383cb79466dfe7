"""Every technique of the catalogue with every model: trained with others in one stack, or refused with a reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import numpy as np
import pytest
import torch
from sessions import curves, trained_run
from techniques import KIND_OF_LOSS, LAYER, MODELS, REFUSED, TECHNIQUES, VALUES, Fields

from raydnn.data.load import load_dataset
from raydnn.errors import JobError
from raydnn.search.packing import pack
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.spec.axes.regularization import Regularization
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.reading.load import load_job
from raydnn.spec.train import Train
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.store.read import read
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
COUNT, CLASSES = 40, 3


def test_every_model_and_field_is_there() -> None:
    assert {name.partition(",")[0] for name in MODELS} == set(components("model"))
    for spec, given in ((Regularization, "regularization"), (Augmentation, "augmentation")):
        assert set(spec.model_fields) == set(VALUES[given])
    # What is compiled has tests of its own, and takes too long for so many.
    apart = {
        "compile",
        "epochs",
        "augmentation",
        "clip",
        "class_weights",
        "precision",
        "checkpoint_every_epochs",
    }
    assert set(Train.model_fields) - apart == set(VALUES["train"])


NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.head = nn.Linear(6, outputs)
        self.body = nn.Linear(inputs, 6)

    def forward(self, x):
        return self.head(self.body(x).tanh())


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="none")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of each form and task, targets by chance, and a class of a user's."""
    found = tmp_path_factory.mktemp("matrix")
    (found / "nets_of_matrix.py").write_text(NETS)
    rng = np.random.default_rng(0)
    inputs = {
        "pictures": rng.normal(size=(COUNT, 3, 8, 8)).astype(np.float32),
        "numbers": rng.normal(size=(COUNT, 5, 2)).astype(np.float32),
        "tokens": rng.integers(7, size=(COUNT, 5)),
    }
    targets = {
        "classification": np.arange(COUNT) % CLASSES,
        "binary": np.arange(COUNT) % 2,
        "regression": rng.normal(size=(COUNT, 2)),
        "multi_label": rng.integers(2, size=(COUNT, CLASSES)),
        "distribution": rng.dirichlet(np.ones(CLASSES), size=COUNT),
    }
    for form, of_form in inputs.items():
        for kind, of_kind in targets.items():
            test = {"test_inputs": of_form[:10], "test_targets": of_kind[:10]}
            np.savez(found / f"{form}-{kind}.npz", inputs=of_form, targets=of_kind, **test)
    return found


def _given(model: str, technique: str, folder: Path) -> Fields:
    """The job of a pair."""
    form, spec = MODELS[model]
    fields = TECHNIQUES[technique]
    loss = fields.get("loss", {}).get("name")
    kind = KIND_OF_LOSS.get(loss, "classification")
    if fields.get("output", {}).get("name") in ("heaviside", "sign"):
        kind = "binary"
    data = {"name": "npz", "path": str(folder / f"{form}-{kind}.npz"), "kind": kind, "validation": 8}
    own = {name: value for name, value in spec.items() if name != "path"}
    if "path" in spec:
        own["path"] = f"{folder}/{spec['path']}"
    if loss == "function":
        fields = {"loss": {"name": "function", "path": f"{folder}/nets_of_matrix:loss"}}
    if "layers" in fields.get("regularization", {}):
        fields = {"regularization": {"l2": 0.1, "layers": [LAYER.get(model, "layers.0")]}}
    return {
        "name": "matrix",
        "optimizer": {"name": "sgd", "lr": 0.01},
        **fields,
        "data": {**data, **fields.get("data", {})},
        "model": own,
        "train": {"epochs": 2, "batch_size": 16, **fields.get("train", {})},
    }


def _tried(model: str, technique: str, folder: Path) -> TrialSpec | str:
    """The trial of a pair, or in a line why there is none."""
    try:
        trial = trial_of_job(load_job(_given(model, technique, folder)).job)
        dataset = load_dataset(trial.data)
        Stack([Member(0, trial)], dataset, Workers(), CPU)
    except JobError as error:
        return str(error)
    return trial


def _rule(model: str, technique: str) -> str | None:
    """What is expected to be said of a pair; None: it is trained."""
    found = [
        message for models, techniques, message in REFUSED if model in models and technique in techniques
    ]
    assert len(found) < 2, f"{model}, {technique}: {found}"
    return found[0] if found else None


def _check(pairs: Sequence[tuple[str, str]], folder: Path, runs: Path, every: int) -> None:
    """Train the pairs that fit, as few stacks as can be, every n-th member also alone; see the others refused."""
    trials: dict[str, TrialSpec] = {}
    wrong: list[str] = []
    for model, technique in pairs:
        found, expected = _tried(model, technique, folder), _rule(model, technique)
        if isinstance(found, str):
            if expected is None or not re.search(expected, found):
                wrong.append(f"{model}, {technique}: refused: {found}")
        elif expected is not None:
            wrong.append(f"{model}, {technique}: not refused, as {expected}")
        else:
            trials[f"{model}, {technique}"] = found
    assert not wrong, "\n".join(wrong)
    names, specs = list(trials), list(trials.values())
    for plan in pack(specs, most=64):
        together = trained_run(runs, f"stack-{plan.number}", plan.trials)
        ended = read(together.location, "trials").to_pylist()
        assert {(row["state"], row["epochs"]) for row in ended} == {("COMPLETED", 2)}
        for row in ended:
            assert isfinite(row["m_final_train_loss"] + row["m_test_loss"]), names[row["number"]]
        for number, trial in plan.trials[::every] if len(plan.trials) > 1 else ():
            alone = trained_run(runs, f"alone-{number}", [(number, trial)])
            for row, expected in zip(curves(together, f"t{number:05d}"), curves(alone), strict=True):
                assert row.keys() == expected.keys()
                numbers = {column: value for column, value in expected.items() if value is not None}
                found = {column: row[column] for column in numbers}
                assert found == pytest.approx(numbers, rel=2e-4, abs=1e-6), names[number]


def _diagonal() -> list[tuple[str, str]]:
    """Every fourth technique with one model, and each model with about as many techniques."""
    models = list(MODELS)
    return [(models[number % len(models)], name) for number, name in enumerate(list(TECHNIQUES)[::4])]


def test_a_sample_of_all_pairs_is_trained_or_refused(folder: Path, tmp_path: Path) -> None:
    _check(_diagonal(), folder, tmp_path, every=4)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_technique_is_trained_with_a_model_or_refused(model: str, folder: Path, tmp_path: Path) -> None:
    _check([(model, technique) for technique in TECHNIQUES], folder, tmp_path, every=10)
