"""A finished network read back computes what it computed when it was tested, and what plain torch computes with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from raydnn.data.load import read_parts
from raydnn.errors import DataError, JobError, NotFoundError, StoreError, UsageError
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.checkpoint import FACTS, TENSORS, load_checkpoint, save_checkpoint
from raydnn.training.facts import NetworkFacts
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.trained import OlderCheckpointWarning, open_trained
from raydnn.training.verdict import Exploit, Judge, Verdict
from raydnn.training.workers import Workers

MakeTrial = Callable[..., TrialSpec]
NewRun = Callable[..., Run]

CLASSES = """
import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, inputs, outputs, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))

    def forward(self, x):
        return self.layers(x)


class Noisy(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(self.drop(self.norm(self.first(x)).relu()))


class Scale(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(inputs))
        self.scale = nn.Parameter(torch.ones(inputs))

    def forward(self, x):
        return (x - self.shift) * self.scale


class Scaled(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.scaling = Scale(inputs)
        self.last = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.last(self.scaling(x))
"""


def _module(name: str) -> dict[str, Any]:
    return {"name": "module", "path": f"their_own:{name}"}


KINDS: dict[str, dict[str, Any]] = {
    "classification": {},
    "perceptron": {"model": "perceptron"},
    "residual": {"model": {"name": "residual_mlp", "blocks": 1, "width": 8}, "normalization": "layer_norm"},
    "prelu": {"activation": "prelu", "normalization": {"name": "group_norm", "groups": 1}},
    "running statistics": {"normalization": {"name": "batch_norm", "inputs": True}},
    "exact statistics": {"normalization": {"name": "batch_norm", "exact_statistics": True}},
    "dropout": {"regularization": {"dropout": 0.3, "input_dropout": 0.1}},
    "bfloat16": {"train": {"precision": "bfloat16"}},
    "pruned": {"regularization": {"prune": 0.6}},
    "weighed": {"train": {"class_weights": "balanced"}, "regularization": {"label_smoothing": 0.1}},
    "triplet": {"loss": {"name": "triplet", "embedding": 5}},
    "best epoch": {
        "optimizer": {"name": "adam", "lr": 0.5},
        "train": {"epochs": 9, "early_stopping": {"patience": 3}},
    },
    "last epoch": {
        "optimizer": {"name": "adam", "lr": 0.5},
        "train": {"epochs": 9, "early_stopping": {"patience": 3, "restore_best": False}},
    },
    "autoencoder": {
        "model": {"name": "autoencoder", "widths": [5, 3], "tied": True, "noise": 0.2, "sparsity": 0.01}
    },
    "module": {"model": _module("Plain"), "activation": "relu"},
    "module with buffers": {"model": _module("Noisy"), "activation": "relu"},
    "module called as the preparation": {"model": _module("Scaled"), "activation": "relu"},
}
CHANGED_AT_THE_END = {"exact statistics", "pruned", "last epoch"}
"""Kinds whose final weights are not those that were validated at the best epoch."""


@pytest.fixture(autouse=True)
def _their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_own.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(tmp_path)


def _go_on(_epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
    return {}


def _fit(run: Run, trials: Sequence[TrialSpec], judge: Judge = _go_on, **more: Any) -> None:
    plan = StackPlan(0, tuple(enumerate(trials)))
    run_stack(run, plan, scheduler="asha", judge=judge, workers=Workers(), device=torch.device("cpu"), **more)


def _row(run: Run, number: int = 0) -> dict[str, Any]:
    return {row["number"]: row for row in read(run.location, "trials").to_pylist()}[number]


def _assert_same(run: Run, number: int, validated: bool = True) -> None:
    """Metrics computed again are those in the store, to the bit."""
    row = _row(run, number)
    trained = open_trained(run, row["trial_id"])
    test = trained.metrics("test")
    assert test["loss"] == row["m_test_loss"]
    assert test.get("accuracy") == row["m_test_accuracy"]
    assert trained.member.test == test
    if validated:
        assert trained.metrics("validation")["loss"] == row["best_value"]


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_computed_again_are_those_of_the_trial(
    make_trial: MakeTrial, new_run: NewRun, classes: dict[str, Any], kind: str
) -> None:
    """Of a stack of two, which are not alike."""
    run = new_run()
    given = {"data": {**classes, "scaling": "standardize"}, **KINDS[kind]}
    _fit(
        run, [make_trial(**given, seed=seed, schedule=how) for seed, how in ((3, "constant"), (1, "cosine"))]
    )
    for number in range(2):
        _assert_same(run, number, validated=kind not in CHANGED_AT_THE_END)
    assert _row(run, 0)["m_test_loss"] != _row(run, 1)["m_test_loss"]


@pytest.mark.parametrize("task", ["regression", "binary", "multi_label", "distribution"])
@pytest.mark.parametrize("scaling", ["none", "whiten"])
def test_metrics_of_other_tasks(
    make_trial: MakeTrial, new_run: NewRun, tmp_path: Path, task: str, scaling: str
) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(120, 2, 3))
    scores = inputs.reshape(120, 6) @ rng.normal(size=(6, 3))
    targets = {
        "regression": 1000 * scores[:, :1] + 50_000,
        "binary": (scores[:, 0] > 0).astype(int) + 5,
        "multi_label": (scores > 0).astype(int),
        "distribution": np.exp(scores) / np.exp(scores).sum(1, keepdims=True),
    }[task]
    np.savez(tmp_path / "data.npz", inputs=inputs, targets=targets)
    data = {
        "name": "npz",
        "path": str(tmp_path / "data.npz"),
        "kind": task,
        "scaling": scaling,
        "test_fraction": 0.2,
    }
    run = new_run()
    _fit(run, [make_trial(data=data), make_trial(data=data, seed=4)])
    for number in range(2):
        _assert_same(run, number)
    trained = open_trained(run, "t00000")
    assert trained.classes == ((5, 6) if task == "binary" else ())
    assert trained.preparation.shape == (2, 3)
    kept = load_checkpoint(trained.place)[1]
    assert ("target_scale" in kept) == (task == "regression")
    assert kept["task"] == task
    if task == "regression":
        # By hand: the squared error in the target's own unit.
        parts = read_parts(trained.spec.data)
        assert parts.test is not None
        scale = trained.preparation.target_scale
        assert scale is not None
        found = trained.outputs(parts.test.inputs).double().numpy() * scale.deviation + scale.mean
        expected = ((found - parts.test.targets) ** 2).mean()
        assert trained.metrics("test")["loss"] == pytest.approx(expected, rel=1e-4)


def test_what_diverged_later_has_the_weights_of_its_best_epoch(
    make_trial: MakeTrial, new_run: NewRun
) -> None:
    schedule = {"name": "piecewise", "boundaries_epochs": [2], "factors": [1e30]}
    run = new_run()
    _fit(run, [make_trial(loss="mse", schedule=schedule, train={"epochs": 5}), make_trial(loss="mse")])
    assert _row(run, 0)["state"] == "DIVERGED"
    _assert_same(run, 0)


def test_a_copy_of_anothers_weights_has_the_configuration_it_ended_with(
    make_trial: MakeTrial, new_run: NewRun
) -> None:
    run, changed = new_run(), make_trial(optimizer={"name": "sgd", "lr": 0.2})

    def judge(epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
        return {1: Verdict(False, exploit=Exploit(0, 0, changed))} if epoch == 2 else {}

    trials = [make_trial(optimizer={"name": "sgd", "lr": lr}) for lr in (0.1, 1e-6)]
    _fit(run, trials, judge, copied_after=(2,))
    assert open_trained(run, "t00001").spec == changed
    for number in range(2):
        _assert_same(run, number)


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    """A table with columns and classes by name."""
    rng = np.random.default_rng(2)
    rows = ["length,width,species"]
    for _ in range(90):
        species = rng.integers(3)
        length, width = rng.normal(size=2) + 2 * species
        rows.append(f"{length:.3f},{100 + width:.3f},{('setosa', 'versicolor', 'virginica')[species]}")
    (tmp_path / "flowers.csv").write_text("\n".join(rows))
    return {
        "name": "csv",
        "path": str(tmp_path / "flowers.csv"),
        "target": "species",
        "scaling": "standardize",
        "validation": 20,
        "test_fraction": 0.2,
    }


def test_outputs_of_raw_examples_are_those_of_plain_torch_with_its_weights(
    make_trial: MakeTrial, new_run: NewRun, table: dict[str, Any]
) -> None:
    run = new_run()
    spec = make_trial(
        data=table, activation="prelu", normalization={"name": "batch_norm", "position": "after_activation"}
    )
    _fit(
        run, [spec, make_trial(data=table, activation="prelu", normalization=spec.normalization.model_dump())]
    )
    trained = open_trained(run, "t00000")
    weights = trained.state_dict()

    def named(prefix: str) -> dict[str, Tensor]:
        own = {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}
        return {name: tensor for name, tensor in own.items() if "." not in name}

    layers: list[nn.Module] = []
    for number, (fan_in, fan_out) in enumerate(((2, 8), (8, 7), (7, 3))):
        dense: nn.Module = nn.Linear(fan_in, fan_out)
        dense.load_state_dict(named(f"layers.{number}."))
        layers.append(dense)
        if number < 2:
            slopes, norm = nn.PReLU(fan_out), nn.BatchNorm1d(fan_out)
            slopes.load_state_dict(named(f"layers.{number}.activation."))
            norm.load_state_dict(named(f"layers.{number}.norm."))
            layers += [slopes, norm]
    plain = nn.Sequential(*layers).eval()
    assert sum(p.numel() for p in plain.parameters()) == _row(run)["parameters"]
    assert {name for name, _ in trained.module.named_parameters()} | {
        name for name, _ in trained.module.named_buffers()
    } == weights.keys()

    parts = read_parts(spec.data)
    assert parts.test is not None
    scaler = StandardScaler().fit(parts.train.inputs)
    rows = torch.from_numpy(scaler.transform(parts.test.inputs)).float()
    torch.testing.assert_close(trained.inputs(parts.test.inputs), rows, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        expected = plain(trained.inputs(parts.test.inputs))
        torch.testing.assert_close(trained.outputs(parts.test.inputs), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            trained.module(trained.inputs(parts.test.inputs)), expected, rtol=1e-4, atol=1e-5
        )
        right = (expected.argmax(1).numpy() == parts.test.targets).mean()
    assert trained.metrics("test")["accuracy"] == pytest.approx(right)
    assert trained.classes == ("setosa", "versicolor", "virginica")
    assert trained.preparation.feature_names == ("length", "width")
    assert trained.preparation.target_names == ("species",)
    # Doubles, single numbers and lists of the same values are the same raw examples.
    first = parts.test.inputs[:2]
    for raw in (first.astype(np.float64), first.tolist()):
        assert torch.equal(trained.outputs(raw), trained.outputs(first))


def test_pictures_scaled_by_channel_are_so_when_the_network_is_read_back(
    make_trial: MakeTrial, new_run: NewRun, color_pictures: dict[str, Any]
) -> None:
    data = {**color_pictures, "scaling": {"name": "standardize", "per": "channel"}}
    run, spec = new_run(), make_trial(data=data, train={"epochs": 1, "test_time_flips": True})
    plain = make_trial(data=data, train={"epochs": 1})
    _fit(run, [spec])
    _assert_same(run, 0)
    other = new_run("plain")
    _fit(other, [plain])
    _assert_same(other, 0)
    assert _row(run)["best_value"] == _row(other)["best_value"], "the validation part is not mirrored"
    assert _row(run)["m_test_loss"] != _row(other)["m_test_loss"]
    trained, parts = open_trained(run, "t00000"), read_parts(spec.data)
    assert parts.test is not None
    assert trained.preparation.scaling.scale.shape == (3, 1, 1)
    train = parts.train.inputs.astype(np.float64)
    mean, deviation = (of(train, axis=(0, 2, 3), keepdims=True) for of in (np.mean, np.std))
    expected = (parts.test.inputs - mean) / deviation
    np.testing.assert_allclose(trained.inputs(parts.test.inputs), expected, rtol=1e-4, atol=1e-5)
    assert trained.spec.data.scaling == spec.data.scaling


def test_the_module_is_a_copy_that_can_be_trained(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    _fit(run, [make_trial(normalization="batch_norm")])
    trained = open_trained(run, "t00000")
    before = trained.metrics("validation")
    module = trained.module
    assert not module.training
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    inputs, targets = trained.inputs(np.ones((9, 6))), torch.zeros(9, dtype=torch.long)
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(module(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert trained.metrics("validation") == before
    again = open_trained(run, "t00000").module
    assert not torch.allclose(again(inputs), module(inputs))
    again.load_state_dict(module.state_dict())
    assert torch.equal(again(inputs), module(inputs))


def test_a_users_network_is_an_instance_of_the_class(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    _fit(run, [make_trial(model=_module("Noisy"), activation="relu", seed=seed) for seed in (1, 2)])
    trained = open_trained(run, "t00001")
    module = trained.module
    assert type(module).__name__ == "Noisy"
    saved = load_file(run.local_path("checkpoints", "t00001", TENSORS))
    assert all(torch.equal(tensor.float(), saved[name]) for name, tensor in trained.state_dict().items())
    assert trained.state_dict()["norm.num_batches_tracked"].dtype == torch.int64
    raw = np.linspace(-1, 1, 18).reshape(3, 6)
    torch.testing.assert_close(module(trained.inputs(raw)), trained.outputs(raw))


@pytest.mark.parametrize(("state", "reason"), [("STOPPED", "asha"), ("FAILED", "error")])
def test_a_trial_without_weights_is_not_found(
    make_trial: MakeTrial, new_run: NewRun, state: str, reason: str
) -> None:
    run = new_run()

    def judge(_epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
        if state == "FAILED":
            raise ZeroDivisionError
        return {0: Verdict(True, 0)}

    if state == "FAILED":
        with pytest.raises(ZeroDivisionError):
            _fit(run, [make_trial()], judge)
    else:
        _fit(run, [make_trial()], judge)
    with pytest.raises(NotFoundError, match=rf"t00000 of run one has no weights: it is {state} \({reason}\)"):
        open_trained(run, "t00000")
    with pytest.raises(NotFoundError, match=r"run one has no trial 't00001'. Did you mean 't00000'\?"):
        open_trained(run, "t00001")


@pytest.fixture
def finished(make_trial: MakeTrial, new_run: NewRun, table: dict[str, Any]) -> Run:
    run = new_run()
    _fit(run, [make_trial(data=table)])
    return run


@pytest.mark.parametrize("name", [TENSORS, FACTS, "manifest.json"])
def test_a_file_that_is_missing_or_changed_is_named(finished: Run, name: str) -> None:
    path = finished.local_path("checkpoints", "t00000", name)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"???")
    with pytest.raises(StoreError, match=rf"checkpoints/t00000 is (damaged|incomplete): {name}") as raised:
        open_trained(finished, "t00000")
    assert raised.value.exit_code == 5
    path.unlink()
    with pytest.raises(StoreError, match=f"checkpoints/t00000 is incomplete: {name} is missing"):
        open_trained(finished, "t00000")


def _change_weight(tensors: dict[str, Tensor], _facts: dict[str, Any]) -> None:
    tensors["layers.0.weight"] = torch.zeros(9, 2)


def _drop_weight(tensors: dict[str, Tensor], _facts: dict[str, Any]) -> None:
    del tensors["layers.1.bias"]


def _add_weight(tensors: dict[str, Tensor], _facts: dict[str, Any]) -> None:
    tensors["layers.9.bias"] = torch.zeros(3)


def _drop_scaling(tensors: dict[str, Tensor], _facts: dict[str, Any]) -> None:
    del tensors["scaling.scale"]


def _drop_member(_tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    del facts["member"]


def _drop_outputs(_tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    del facts["outputs"]


def _break_spec(_tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    facts["member"]["spec"] = facts["member"]["spec"].replace('"tanh"', '"tanhh"')


def _be_newer(_tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    facts["versions"] = {"raydnn": "9.1", "torch": "3.0", "schema_version": 99}


CHANGES = {
    _change_weight: r"tensors.safetensors does not fit .* 'layers.0.weight' has the shape \(9, 2\); .* \(8, 2\)",
    _drop_weight: r"tensors.safetensors does not fit .* 'layers.1.bias' is missing",
    _add_weight: r"tensors.safetensors does not fit .* 'layers.9.bias' is there",
    _drop_scaling: r"tensors.safetensors is damaged: 'scaling.scale' is missing",
    _drop_member: r"facts.json is damaged: 'member' is missing",
    _drop_outputs: r"facts.json is damaged: outputs: Field required",
    _break_spec: r"facts.json is damaged: activation: .*tanhh",
    _be_newer: r"facts.json was written by version 9.1 of raydnn, with schema version 99; this version reads up to 2",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_not_the_network_of_its_configuration_is_refused_in_words(
    finished: Run, change: Callable[[dict[str, Tensor], dict[str, Any]], None]
) -> None:
    """Though its manifest fits."""
    folder = finished.location / "checkpoints" / "t00000"
    tensors, facts = load_checkpoint(folder)
    change(tensors, facts)
    save_checkpoint(folder, tensors, facts)
    with pytest.raises(StoreError, match=CHANGES[change]):
        open_trained(finished, "t00000")


def test_a_users_class_that_has_changed_or_gone_is_told(
    make_trial: MakeTrial, new_run: NewRun, tmp_path: Path
) -> None:
    run = new_run()
    _fit(run, [make_trial(model=_module("Plain"), activation="relu")])
    folder = run.location / "checkpoints" / "t00000"
    tensors, facts = load_checkpoint(folder)
    spec = facts["member"]["spec"]
    arguments = spec.replace('"arguments":"{}"', '"arguments":"{\\"width\\": 9}"')
    assert arguments != spec
    save_checkpoint(folder, tensors, {**facts, "member": {**facts["member"], "spec": arguments}})
    with pytest.raises(StoreError, match=r"'layers.0.weight' has the shape \(8, 6\); .* needs \(9, 6\)"):
        open_trained(run, "t00000")
    gone = spec.replace("their_own:Plain", "their_own:Plane")
    save_checkpoint(folder, tensors, {**facts, "member": {**facts["member"], "spec": gone}})
    with pytest.raises(JobError, match=r"has no class 'Plane'.* Did you mean 'Plain'\?"):
        open_trained(run, "t00000")


def test_data_that_do_not_fit_are_refused(finished: Run, tmp_path: Path) -> None:
    trained = open_trained(finished, "t00000")
    with pytest.raises(UsageError, match=r"part 'tset' is given; allowed: .* Did you mean 'test'\?"):
        trained.metrics("tset")
    for raw, told in (
        (np.zeros((4, 3)), r"inputs of shape \(3,\) are given; the network was trained on \(2,\)"),
        (np.array([["a", "b"]]), r"inputs of type <U1 are given; numbers are needed"),
    ):
        with pytest.raises(DataError, match=told):
            trained.outputs(raw)
    path = tmp_path / "flowers.csv"
    text = path.read_text()
    for old, new, told in (
        ("length,width", "length,height", "columns are not those .*: it lacks 'width' and has 'height'"),
        ("length,width", "width,length", "columns are in another order"),
        ("virginica", "iris", "classes are not those .*: it lacks 'virginica' and has 'iris'"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(DataError, match=f"flowers.csv: its {told}"):
            trained.metrics("test")


def test_data_whose_numbers_have_changed_go_through_the_preparation_that_was_kept(
    finished: Run, tmp_path: Path
) -> None:
    trained = open_trained(finished, "t00000")
    path = tmp_path / "flowers.csv"
    header, *rows = path.read_text().splitlines()
    moved = [",".join([f"{float(row.split(',')[0]) + 1000:.3f}", *row.split(",")[1:]]) for row in rows]
    path.write_text("\n".join([header, *moved]))
    assert trained.metrics("validation")["loss"] != _row(finished)["best_value"]


OLD_KEYS = {"member", "features", "outputs", "classes", "columns", "target_scale", "baseline"}


def test_an_older_checkpoint_opens_and_what_it_lacks_is_told(finished: Run) -> None:
    folder = finished.location / "checkpoints" / "t00000"
    tensors, facts = load_checkpoint(folder)
    save_checkpoint(folder, tensors, {name: value for name, value in facts.items() if name in OLD_KEYS})
    with pytest.warns(
        OlderCheckpointWarning, match=r"earlier version, which did not keep versions, .*inputs"
    ):
        trained = open_trained(finished, "t00000")
    row = _row(finished)
    assert trained.metrics("test") == {"loss": row["m_test_loss"], "accuracy": row["m_test_accuracy"]}
    assert trained.classes == ("setosa", "versicolor", "virginica")
    assert trained.preparation.feature_names == ("length", "width")
    assert trained.preparation.feature_types is None


def test_an_older_checkpoint_of_pictures_takes_them_in_any_shape(
    make_trial: MakeTrial, new_run: NewRun
) -> None:
    run = new_run()
    data = {"name": "digits", "scaling": "unit", "test_fraction": 0.1}
    _fit(run, [make_trial(data=data, train={"epochs": 1})])
    folder = run.location / "checkpoints" / "t00000"
    tensors, facts = load_checkpoint(folder)
    assert facts["features"] == [8, 8]
    assert facts["inputs"] == {"shape": [8, 8], "types": ["picture"]}
    with pytest.raises(DataError, match=r"inputs of shape \(64,\) are given; .* \(8, 8\)"):
        open_trained(run, "t00000").outputs(np.zeros((1, 64)))
    old = {name: value for name, value in facts.items() if name in OLD_KEYS} | {"features": [64]}
    save_checkpoint(folder, tensors, old)
    with pytest.warns(OlderCheckpointWarning):
        trained = open_trained(run, "t00000")
    assert trained.metrics("test")["loss"] == _row(run)["m_test_loss"]
    assert torch.equal(trained.outputs(np.ones((1, 64))), trained.outputs(np.ones((1, 8, 8))))
    with pytest.raises(
        DataError, match=r"inputs of shape \(63,\) are given; the network was trained on \(64,\)"
    ):
        trained.outputs(np.ones((1, 63)))


def test_a_checkpoint_holds_what_prediction_needs(
    finished: Run, table: dict[str, Any], recwarn: pytest.WarningsRecorder
) -> None:
    facts = json.loads(finished.local_path("checkpoints", "t00000", FACTS).read_text())
    trained = open_trained(finished, "t00000")
    assert not recwarn.list
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["task"] == "classification"
    assert facts["loss"] == {"name": "cross_entropy"}
    assert facts["output_activation"]["name"] == "softmax"
    assert facts["inputs"] == {"shape": [2], "types": ["number", "number"]}
    assert (facts["columns"], facts["targets"]) == (["length", "width"], ["species"])
    assert (facts["class_count"], facts["classes"]) == (3, ["setosa", "versicolor", "virginica"])
    assert facts["scaling"] == {
        "name": "standardize",
        "tensors": {"shift": "scaling.shift", "scale": "scaling.scale"},
    }
    assert facts["configuration"] == json.loads(trained.spec.config_json)
    assert facts["configuration"]["data"]["path"] == table["path"]
    assert facts["member"]["spec"] == trained.spec.config_json
    assert facts.keys() == {"member", *NetworkFacts.model_fields} - {"target_scale"}
