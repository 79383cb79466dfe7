"""What is noted of the layers is what an independent network has, and noting it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import raydnn
from raydnn.data.dataset import Dataset
from raydnn.data.load import load_dataset
from raydnn.nn.layers import tail
from raydnn.nn.layers.sequences import encoder
from raydnn.search.packing import StackPlan
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.groups import member_groups
from raydnn.store.compact import compact
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.measures import diagnostics
from raydnn.training.measures.diagnostics import activation_statistics
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
ON = {"diagnostics": True}
LAYERS = ["layers.0", "layers.1", "layers.2"]

MakeTrial = Callable[..., TrialSpec]
NewRun = Callable[..., Run]


def _train(run: Run, trials: Sequence[TrialSpec]) -> list[dict[str, Any]]:
    plan = StackPlan(0, tuple(enumerate(trials)))
    run_stack(run, plan, scheduler="none", judge=lambda _e, _m: {}, workers=Workers(), device=CPU)
    rows: list[dict[str, Any]] = read(run.location, "layers").to_pylist()
    return rows


def _dataset(trial: TrialSpec) -> Dataset:
    return load_dataset(trial.data).to(CPU)


def _stack(trials: Sequence[TrialSpec]) -> tuple[Stack, Dataset]:
    dataset = _dataset(trials[0])
    return Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), CPU), dataset


def _network(parameters: dict[str, Tensor], activation: nn.Module) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in LAYERS:
        weight = parameters[f"{layer}.weight"]
        dense = nn.Linear(*reversed(weight.shape))
        dense.load_state_dict({"weight": weight, "bias": parameters[f"{layer}.bias"]})
        modules += [dense, activation]
    return nn.Sequential(*modules[:-1])


def _norm(*tensors: Tensor | None) -> float:
    return float(np.sqrt(sum(t.square().sum().item() for t in tensors if t is not None)))


CASES = [
    ("tanh", nn.Tanh(), (-0.99, 0.99)),
    ("sigmoid", nn.Sigmoid(), (0.01, 0.99)),
    ("relu", nn.ReLU(), (0.0, None)),
    ("elu", nn.ELU(), (-0.99, None)),
    ("gelu", nn.GELU(), (None, None)),
]


def test_the_rows_are_those_of_an_independent_network(make_trial: MakeTrial, new_run: NewRun) -> None:
    """One step on the whole training set, clipped; inputs so large that units saturate and die."""
    lr, limit = 0.5, 0.1
    train = {"epochs": 1, "batch_size": "full", "clip": {"name": "norm", "max_grad_norm": limit}, **ON}
    given = {"optimizer": {"name": "sgd", "lr": lr}, "init": {"name": "normal", "std": 2.0}, "train": train}
    trials = [make_trial(activation=name, **given) for name, *_ in CASES]
    rows = _train(new_run(), trials)
    assert [(row["trial_id"], row["layer"], row["depth"]) for row in rows] == [
        (f"t{n:05d}", layer, depth) for n in range(len(CASES)) for depth, layer in enumerate(LAYERS)
    ]
    data = _dataset(trials[0])
    stack, _ = _stack(trials)
    for number, (_, activation, (low, high)) in enumerate(CASES):
        network = _network(stack.member_parameters(number), activation)
        functional.cross_entropy(network(data.train.inputs), data.train.targets).backward()
        before = [parameter.detach().clone() for parameter in network.parameters()]
        factor = limit / float(nn.utils.clip_grad_norm_(network.parameters(), limit))
        assert factor < 0.5
        clipped = [parameter.grad for parameter in network.parameters()]
        torch.optim.SGD(network.parameters(), lr).step()
        own = [row for row in rows if row["trial_id"] == f"t{number:05d}"]
        for depth, row in enumerate(own):
            pair = slice(2 * depth, 2 * depth + 2)
            size = _norm(*clipped[pair])
            assert row["gradient_norm"] == pytest.approx(size / factor, rel=1e-4)
            assert row["update_ratio"] == pytest.approx(lr * size / _norm(*before[pair]), rel=1e-3)
            assert row["weight_norm"] == pytest.approx(_norm(*list(network.parameters())[pair]), rel=1e-5)
            if depth == 2:
                names = ("activation_mean", "activation_std", "dead_fraction", "saturated_fraction")
                assert [row[name] for name in names] == [None] * 4
                continue
            with torch.no_grad():
                values = network[: 2 * depth + 2](data.train.inputs).double().numpy()
            assert row["activation_mean"] == pytest.approx(values.mean(), rel=1e-4, abs=1e-6)
            assert row["activation_std"] == pytest.approx(values.std(), rel=1e-4)
            at_end = (values <= (-np.inf if low is None else low)) | (
                values >= (np.inf if high is None else high)
            )
            expected = None if low is None else at_end.all(axis=0).mean()
            assert row["dead_fraction"] == pytest.approx(expected)
            expected = None if high is None else at_end.mean()
            assert row["saturated_fraction"] == pytest.approx(expected)
    saturated = [row["saturated_fraction"] for row in rows if row["trial_id"] == "t00000"][:2]
    assert all(0.2 < share < 1 for share in saturated)


def test_units_that_cannot_fire_are_dead(make_trial: MakeTrial) -> None:
    trials = [make_trial(activation=name) for name in ("relu", "elu", "tanh", "leaky_relu")]
    stack, dataset = _stack(trials)
    assert [member[0] for member in _dead(stack, dataset)] == [0.0, 0.0, 0.0, None]
    bias = stack.weights["layers.0.bias"]
    bias[:, :3] = -1e3
    bias[:, 3] = 1e3
    # Far above zero ReLU and ELU have slope 1, while tanh is flat there, too.
    assert [member[0] for member in _dead(stack, dataset)] == [3 / 8, 3 / 8, 4 / 8, None]


def _dead(stack: Stack, dataset: Dataset) -> list[list[float | None]]:
    found = activation_statistics(stack, dataset.train)
    return [[found[layer][p]["dead_fraction"] for layer in LAYERS[:2]] for p in range(len(stack.members))]


def test_flat_ends_are_where_the_slope_is_small() -> None:
    """By autograd: at a declared end at most 4 % of the largest slope; without one the slope stays.

    GELU, SiLU and Mish are flat far below zero, but come near that value around zero, too.
    """
    z = torch.linspace(-40, 40, 80_001, dtype=torch.float64, requires_grad=True)
    for name, cls in components("activation").items():
        if cls.no_hidden_layer or name in ("gelu", "silu", "mish"):
            continue
        spec = cls(name=name)
        values = tail.activate(member_groups([spec], CPU), z.view(1, 1, -1)).flatten()
        (slope,) = torch.autograd.grad(values.sum(), z)
        low, high = spec.flat_ends
        assert (low is not None) == bool(slope[0] < 1e-6), name
        assert (high is not None) == bool(slope[-1] < 1e-6), name
        at_ends = (values <= (-np.inf if low is None else low)) | (
            values >= (np.inf if high is None else high)
        )
        assert (slope[at_ends] <= 0.04 * slope.max()).all(), name


AFTER = {"name": "layer_norm", "position": "after_activation"}
CODER = {"name": "autoencoder", "widths": [3, 2]}
PICTURES = {"name": "pictures", "count": 100, "size": 8, "reconstruct": True}


def test_a_channel_is_dead_where_it_is_flat_at_every_position(make_trial: MakeTrial) -> None:
    trial = make_trial(model={"name": "cnn", "channels": [4], "widths": [3]}, activation="relu")
    stack, dataset = _stack([trial, trial])
    kernels = next(iter(stack.weights))
    bias = stack.weights[kernels.replace("weight", "bias")]
    bias[0, :3], bias[1, :1] = -1e3, -1e3
    found = next(iter(activation_statistics(stack, dataset.train).values()))
    assert [member["dead_fraction"] for member in found] == [3 / 4, 1 / 4]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"normalization": {"name": "batch_norm", "inputs": True}},
        {"normalization": AFTER},
        {"model": {"name": "residual_mlp", "width": 7}},
        {"activation": "prelu", "regularization": {"dropout": 0.5, "input_dropout": 0.5}},
        {"model": {"name": "cnn", "channels": [2, 3], "widths": [4]}},
        {"model": {"name": "resnet", "depth": 8, "width": 2}, "normalization": AFTER},
        {"model": {"name": "resnet", "depth": 8, "width": 2, "skip": False}},
        {"model": {**CODER, "tied": True}, "data": PICTURES},
        {"model": {**CODER, "convolutional": True}, "data": PICTURES},
        {
            "model": {"name": "transformer", "width": 4, "heads": 2, "layers": 2, "patch": 8},
            "data": {"name": "pictures", "count": 100},
        },
    ],
    ids=[
        "plain",
        "before",
        "after",
        "residual",
        "prelu",
        "cnn",
        "resnet",
        "plain resnet",
        "tied",
        "convolutional",
        "transformer",
    ],
)
def test_what_is_looked_at_is_what_the_activation_gives(
    make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    stack, dataset = _stack([make_trial(seed=seed, **fields) for seed in (1, 2)])
    given: list[Tensor] = []

    def spy(*arguments: Any) -> Tensor:
        given.append(activate(*arguments))
        return given[-1]

    activate = tail.activate
    monkeypatch.setattr(tail, "activate", spy)
    monkeypatch.setattr(encoder, "activate", spy)
    found = activation_statistics(stack, dataset.train)
    assert len(found) == len(given) >= 2
    for values, statistics in zip(given, found.values(), strict=True):
        means = [member["activation_mean"] for member in statistics]
        deviations = [member["activation_std"] for member in statistics]
        every = values.flatten(1)
        assert means == pytest.approx(every.mean(1).tolist(), abs=1e-6)
        assert deviations == pytest.approx(every.std(1, correction=0).tolist(), rel=1e-5)


def test_layers_and_the_whole_gradient_agree(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    normalization = {"name": "batch_norm", "inputs": True}
    rows = _train(run, [make_trial(normalization=normalization, seed=s, train=ON) for s in (1, 2)])
    assert {row["layer"] for row in rows} == {"input_norm", *LAYERS, "layers.0.norm", "layers.1.norm"}
    epochs = read(run.location, "epochs").to_pylist()
    assert len(rows) == 6 * len(epochs) == 6 * 2 * 3
    for epoch in epochs:
        own = [r for r in rows if (r["trial_id"], r["epoch"]) == (epoch["trial_id"], epoch["epoch"])]
        norms = [row["gradient_norm"] for row in own]
        assert np.linalg.norm(norms) == pytest.approx(epoch["grad_norm"], rel=1e-5)


def test_probe_examples_are_the_first_ones(make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    stack, dataset = _stack([make_trial()])
    monkeypatch.setattr(diagnostics, "PROBE_EXAMPLES", 10)
    few = activation_statistics(stack, dataset.train)["layers.0"][0]["activation_mean"]
    parameters = stack.member_parameters(0)
    z = dataset.train.inputs[:10] @ parameters["layers.0.weight"].T + parameters["layers.0.bias"]
    assert few == pytest.approx(torch.tanh(z).mean().item(), abs=1e-6)


def test_layers_of_zeros_have_no_ratio_and_a_diverged_member_no_shares(
    make_trial: MakeTrial, new_run: NewRun
) -> None:
    zeros = make_trial(init="zeros", activation="relu", train=ON, normalization="layer_norm")
    rows = _train(new_run("zeros"), [zeros])
    first = [row for row in rows if row["epoch"] == 1 and row["layer"] == "layers.0"]
    assert [(row["update_ratio"], row["weight_norm"]) for row in first] == [(None, 0.0)]
    wild = make_trial(activation="relu", optimizer={"name": "sgd", "lr": 1e30}, train=ON)
    last = [row for row in _train(new_run("wild"), [wild]) if row["layer"] == "layers.1"][-1]
    assert not np.isfinite(last["activation_mean"])
    assert last["dead_fraction"] is None


def test_it_changes_nothing_and_off_it_does_nothing(
    make_trial: MakeTrial, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropout = {"dropout": 0.3}
    watched, mixed, off = new_run("watched"), new_run("mixed"), new_run("off")
    trials = {on: make_trial(regularization=dropout, train={"diagnostics": on}) for on in (True, False)}
    both = _train(watched, [trials[True]] * 2)
    one = _train(mixed, [trials[False], trials[True]])
    assert {row["trial_id"] for row in one} == {"t00001"}
    numbers = [{k: v for k, v in row.items() if k not in ("run_id", "committed_at")} for row in one]
    assert numbers == [
        {k: v for k, v in row.items() if k not in ("run_id", "committed_at")}
        for row in both
        if row["trial_id"] == "t00001"
    ]
    monkeypatch.setattr("raydnn.stacking.layout.Layout.layer_norms", None)
    monkeypatch.setattr(diagnostics, "activation_statistics", None)
    assert _train(off, [trials[False]] * 2) == []
    assert list(off.local_path("layers").iterdir()) == []
    metrics = ["trial_id", "epoch", "train_loss", "validation_loss", "grad_norm"]
    losses = [read(run.location, "epochs").select(metrics).to_pylist() for run in (watched, mixed, off)]
    assert losses[0] == losses[1] == losses[2]


def test_the_table_is_read_like_the_others(make_trial: MakeTrial, new_run: NewRun) -> None:
    run = new_run()
    _train(run, [make_trial(train=ON)])
    before = raydnn.load(run.uri, "layers")
    assert before.num_rows == 9
    compact(run)
    assert len(list(run.local_path("layers").iterdir())) == 1
    assert raydnn.load(run.uri, "layers").equals(before)
