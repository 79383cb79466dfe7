"""A user's module of several inputs by name: trained as plain torch trains it, stacked, resumed, and read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sessions import curves, train_by_workers, trained_run

from raydnn.data.batches import order
from raydnn.data.load import load_dataset
from raydnn.errors import DataError, JobError
from raydnn.nn.imported import imported
from raydnn.nn.models.registry import architecture
from raydnn.spec.trial import TrialSpec
from raydnn.store.run import Run
from raydnn.training.stack.stack import architecture_of
from raydnn.training.stack.summary import summarize
from raydnn.training.steps import passes
from raydnn.training.trained import open_trained

CLASSES = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, shape, outputs, words=6):
        super().__init__()
        self.kernels = nn.Conv2d(shape["image"][0], 3, 3)
        self.words = nn.Embedding(words, 4)
        self.hidden = nn.LazyLinear(8)
        self.out = nn.Linear(8, outputs)

    def forward(self, age, word, image, *, scale=1.0):
        seen = self.kernels(image).relu().view(len(image), -1)
        return self.out(self.hidden(torch.cat([seen, age, self.words(word)], 1) * scale).relu())


class Dropping(Net):
    def forward(self, **inputs):
        return super().forward(**inputs) + nn.functional.dropout(inputs["age"], 0.3, self.training)


class Lacking(Net):
    def forward(self, image, age):
        return self.out(image)


class Asking(Net):
    def forward(self, image, age, word, sex):
        return self.out(image)
"""
MEMBERS: list[dict[str, Any]] = [
    {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "schedule": "cosine", "seed": 1},
    {"optimizer": {"name": "adam", "lr": 0.01}, "seed": 2},
    {"optimizer": {"name": "muon", "lr": 0.02}, "regularization": {"max_norm": 1.0}, "seed": 1},
]
Make = Callable[..., TrialSpec]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the classes in `nets.py`, and 120 training, 30 validation, 31 test examples in `named.npz`."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "nets.py").write_text(CLASSES)
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=181)
    arrays = {
        "image": rng.normal(size=(3, 1, 4, 4))[targets] + rng.normal(size=(181, 1, 4, 4)),
        "age": rng.normal(50, 9, size=(181, 3)),
        "word": 2 * targets + rng.integers(2, size=181),
        "targets": targets,
    }
    of_test = {f"test_{name}": array[150:] for name, array in arrays.items()}
    np.savez(folder / "named.npz", **{name: array[:150] for name, array in arrays.items()}, **of_test)
    return folder


@pytest.fixture
def make(make_trial: Make, folder: Path) -> Make:
    data = {"name": "npz", "path": str(folder / "named.npz"), "validation": 30, "scaling": "standardize"}

    def make(name: str = "Net", arguments: dict[str, Any] | None = None, **fields: Any) -> TrialSpec:
        model = {"name": "module", "path": f"{folder}/nets:{name}", "arguments": arguments or {}}
        return make_trial(**{"data": data, "model": model, "activation": "relu", **fields})

    return make


@pytest.mark.parametrize(("name", "differs"), [("Net", 1e-5), ("Dropping", 0)], ids=["at once", "in turn"])
def test_a_stack_equals_its_members_alone(
    make: Make, fit: Callable[..., Any], name: str, differs: float
) -> None:
    trials = [make(name, **given) for given in MEMBERS]
    for found, trial in zip(fit(trials), trials, strict=True):
        (alone,) = fit([trial])
        assert found.rows == [pytest.approx(row, rel=differs, abs=differs) for row in alone.rows]
        torch.testing.assert_close(found.parameters, alone.parameters, rtol=differs, atol=differs)
        assert alone.rows[-1]["train_loss"] < alone.rows[0]["train_loss"]


def test_its_captured_steps_change_no_bit(
    make: Make, fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, captured, real = [make(**given) for given in MEMBERS[:2]], [], passes.Passes._captured

    def note(self: passes.Passes) -> Any:
        outcomes, replay = real(self)
        captured.append(replay is not None)
        return outcomes, replay

    monkeypatch.setattr(passes.Passes, "_captured", note)
    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 1)
    found = fit(trials)
    assert captured == [True]
    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 10_000)
    for one, eager in zip(found, fit(trials), strict=True):
        assert one.rows == eager.rows
        assert torch.equal(one.parameters, eager.parameters)
    assert len(captured) == 1


def test_it_is_trained_as_plain_torch_trains_it(make: Make, fit: Callable[..., Any], folder: Path) -> None:
    trial = make(optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9})
    (found,) = fit([trial])
    arrays = np.load(folder / "named.npz")
    image, age = (arrays[name][30:150] for name in ("image", "age"))
    inputs = {
        "image": torch.from_numpy((image - image.mean(0)) / image.std(0)).float(),
        "age": torch.from_numpy((age - age.mean(0)) / age.std(0)).float(),
        "word": torch.from_numpy(arrays["word"][30:150]),
    }
    targets = torch.from_numpy(arrays["targets"][30:150])
    theirs = imported(f"{folder}/nets:Net", "model.path", "class")({"image": (1, 4, 4)}, 3)
    theirs(**inputs)
    network = architecture(trial, load_dataset(trial.data).inputs, 3)
    layout, (first, _) = network.layout, network.start(trial)
    theirs.load_state_dict({name: view[0] for name, view in layout.views(first.unsqueeze(0)).items()})
    stepping = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for epoch in (1, 2, 3):
        for rows in order(trial.seed, epoch, 120).split(16):
            stepping.zero_grad()
            outputs = theirs(**{name: tensor[rows] for name, tensor in inputs.items()})
            torch.nn.functional.cross_entropy(outputs, targets[rows]).backward()
            stepping.step()
    views = layout.views(found.parameters.unsqueeze(0))
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(views[name][0], parameter.detach(), rtol=1e-4, atol=1e-5)


def test_it_is_taken_up_again_and_read_back(make: Make, tmp_path: Path, folder: Path) -> None:
    trials = list(enumerate(make("Dropping", **MEMBERS[k], train=EVERY_EPOCH) for k in (0, 1)))
    whole = trained_run(tmp_path, "whole", trials)
    assert curves(whole) == curves(trained_run(tmp_path, "broken", trials, dies_at=2))
    trained = open_trained(whole, "t00001")
    assert trained.metrics("validation")["loss"] == pytest.approx(
        curves(whole, "t00001")[-1]["validation_loss"]
    )
    arrays = np.load(folder / "named.npz")
    raw = {name: arrays[f"test_{name}"] for name in ("word", "image", "age")}
    outputs = trained.outputs(raw)
    right = (outputs.argmax(1).numpy() == arrays["test_targets"]).mean()
    assert trained.metrics("test")["accuracy"] == pytest.approx(right)
    with pytest.raises(DataError, match="one array of inputs is given; needed are arrays by name: image"):
        trained.outputs(raw["image"])
    np.savez(folder / "renamed.npz", **{name.replace("word", "term"): arrays[name] for name in arrays.files})
    (folder / "renamed.npz").replace(folder / "named.npz")
    try:
        with pytest.raises(DataError, match=r"lacks 'word \(n\)' and has 'term \(n\)'"):
            trained.metrics("validation")
    finally:
        np.savez(folder / "named.npz", **{name: arrays[name] for name in arrays.files})


EVERY_EPOCH = {"checkpoint_every_epochs": 1}


@pytest.mark.slow
def test_two_workers_train_what_one_trains(make: Make, tmp_path: Path, new_run: Callable[..., Run]) -> None:
    trials = [(0, make(train={"epochs": 2})), (1, make(seed=1, train={"epochs": 2}))]
    shared = new_run("shared")
    train_by_workers(shared, [trials])
    for ours, theirs in zip(curves(trained_run(tmp_path, "one", trials)), curves(shared), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_the_summary_shows_its_layers(make: Make) -> None:
    summary = summarize(make())
    assert [row.name for row in summary.layers] == ["kernels", "words", "hidden", "out"]
    assert summary.parameters == 3 * 9 + 3 + 6 * 4 + 8 * (12 + 3 + 4) + 8 + 27
    assert summary.strategy.endswith("at once, by torch.func.vmap")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Lacking"}, r"nets\.py:.*: its forward takes no input 'word'; its arguments: image, age;"),
        ({"name": "Asking"}, r"nets\.py:.*: its forward needs 'sex', which the data do not have"),
        (
            {"arguments": {"words": 5}},
            r"Net\(\{'image': \(1, 4, 4\), 'age': \(3,\), 'word': \(\)\}, 3, words=5\) fails on .*word \(2,\) int64",
        ),
        ({"model": "mlp"}, r"model: mlp with inputs by name \(image, age, word\); allowed: module"),
        ({"model": {"name": "lstm"}, "activation": "tanh"}, "model: lstm with inputs by name"),
        ({"train": {"augmentation": {"mixup": 0.2}}}, "mixup: given with whole numbers, which are not mixed"),
        ({"train": {"augmentation": {"flip": 0.5}}}, "flip: 0.5 with inputs by name, which are no images"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(make: Make, fields: dict[str, Any], message: str) -> None:
    trial = make(**fields)
    with pytest.raises(JobError, match=message) as error:
        architecture_of(trial, load_dataset(trial.data))
    assert "\n" not in str(error.value)
