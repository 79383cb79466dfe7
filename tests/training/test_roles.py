"""What acts by role on a user's module is what a plain torch loop with parameter groups and written penalties does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from raydnn.data.batches import order
from raydnn.data.load import load_dataset
from raydnn.errors import JobError
from raydnn.nn.models.registry import architecture
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.session import run_stack
from raydnn.training.stack.summary import summarize, unknown_roles
from raydnn.training.workers import Workers

CLASSES = """
import torch
from torch import nn


class Picture(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm1d(4)
        self.grouped = nn.Conv1d(4, 6, 3, padding=1, groups=2)
        self.groupnorm = nn.GroupNorm(2, 6)
        self.up = nn.ConvTranspose1d(6, 4, 2, groups=2)
        self.out = nn.Linear(4 * (inputs + 1), outputs)

    def forward(self, x):
        z = self.norm(self.conv(x.unsqueeze(1))).tanh()
        return self.out(self.up(self.groupnorm(self.grouped(z)).tanh()).flatten(1))


class Sequence(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.table = nn.Embedding(4, 5)
        self.lstm = nn.LSTM(5, 4, batch_first=True)
        self.gru = nn.GRU(4, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.gain = nn.Parameter(torch.full((4, 1), 0.7))
        self.out = nn.Linear(4, outputs)

    def forward(self, x):
        z, _ = self.lstm(self.table((x > 0).long() + 2 * (x > 1).long()))
        z, _ = self.gru(z)
        z, _ = self.attention(z, z, z)
        return self.out(self.norm(z.mean(1)) * self.gain.flatten())
"""

Named = dict[str, nn.Parameter]
WEIGHTS = {
    "Picture": ["conv.weight", "grouped.weight", "up.weight", "out.weight"],
    "Sequence": [
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "gru.weight_ih_l0",
        "gru.weight_hh_l0",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "out.weight",
    ],
}
EMBEDDINGS: dict[str, list[str]] = {"Picture": [], "Sequence": ["table.weight"]}
LAYER = {"Picture": "conv", "Sequence": "gru"}
SGD = {"name": "sgd", "lr": 0.1}
MUON = {
    "name": "muon",
    "lr": 0.02,
    "weight_decay": 0.1,
    "adam_ratio": 0.5,
    "beta1": 0.9,
    "beta2": 0.95,
    "eps": 1e-2,
}
"""An ε that makes no steps out of the rounding of a gradient that is 0, as that of a bias before batch norm."""
both = pytest.mark.parametrize("name", ["Picture", "Sequence"])


@pytest.fixture(autouse=True)
def _their_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_roles.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(tmp_path)


def _trained(trial: TrialSpec, run: Run) -> Run:
    run_stack(
        run,
        StackPlan(0, ((0, trial),)),
        scheduler="none",
        judge=lambda _e, _m: {},
        workers=Workers(),
        device=torch.device("cpu"),
    )
    return run


def _network(trial: TrialSpec) -> nn.Module:
    import their_roles  # type: ignore[import-not-found]

    dataset = load_dataset(trial.data)
    network: nn.Module = getattr(their_roles, trial.model.path.partition(":")[2])(6, 3)
    found = architecture(trial, dataset.inputs, 3)
    first, kept = found.start(trial)
    views = found.layout.views(first.unsqueeze(0)) | found.layout.statistics_views(kept.unsqueeze(0))
    network.load_state_dict({name: view[0] for name, view in views.items()})
    return network.train()


def _plain(
    trial: TrialSpec,
    stepping: Callable[[Named], list[torch.optim.Optimizer]],
    penalty: Callable[[Named], Tensor] = lambda _: torch.zeros(()),
    before: Callable[[Named], object] = lambda _: None,
    after: Callable[[Named], object] = lambda _: None,
) -> Named:
    """Three epochs in plain torch."""
    network = _network(trial)
    named = dict(network.named_parameters())
    optimizers = stepping(named)
    train = load_dataset(trial.data).train
    for epoch in (1, 2, 3):
        for rows in order(trial.seed, epoch, 120).split(16):
            network.zero_grad()
            loss = nn.functional.cross_entropy(network(train.inputs[rows]), train.targets[rows])
            (loss + penalty(named)).backward()
            before(named)
            for optimizer in optimizers:
                optimizer.step()
            with torch.no_grad():
                after(named)
    return named


def _sgd(named: Named) -> list[torch.optim.Optimizer]:
    return [torch.optim.SGD(named.values(), lr=0.1)]


@pytest.fixture
def compare(make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]) -> Callable[..., None]:
    """Train a class by the product, beside a member without the technique, and in plain torch."""

    def run(name: str, fields: dict[str, Any], **plain: Any) -> None:
        model = {"name": "module", "path": f"their_roles:{name}"}
        given = {"activation": "relu", "optimizer": SGD, "model": model, **fields}
        trial = make_trial(**given)
        found, without = fit([trial, make_trial(**{"activation": "relu", "optimizer": SGD, "model": model})])
        layout = architecture(trial, load_dataset(trial.data).inputs, 3).layout
        expected = _plain(trial, **{"stepping": _sgd, **plain})
        assert not torch.equal(found.parameters, without.parameters)
        for key, view in layout.views(found.parameters.unsqueeze(0)).items():
            torch.testing.assert_close(view[0], expected[key].detach(), rtol=2e-3, atol=2e-5, msg=key)

    return run


@both
@pytest.mark.parametrize("decay_bias", [False, True])
def test_weight_decay(compare: Callable[..., None], name: str, decay_bias: bool) -> None:
    decayed = [*WEIGHTS[name], *EMBEDDINGS[name]]

    def groups(named: Named) -> list[torch.optim.Optimizer]:
        own = [parameter for key, parameter in named.items() if decay_bias or key in decayed]
        rest = [parameter for key, parameter in named.items() if not (decay_bias or key in decayed)]
        given = [{"params": own, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
        return [torch.optim.SGD([group for group in given if group["params"]], lr=0.1)]

    optimizer = SGD | {"weight_decay": 0.1, "decay_bias": decay_bias}
    compare(name, {"optimizer": optimizer}, stepping=groups)


@both
@pytest.mark.parametrize(
    "regularization",
    [{"l1": 0.01}, {"l2": 0.1}, {"elastic_net": 0.05, "elastic_net_beta": 0.3}],
    ids=lambda given: next(iter(given)),
)
@pytest.mark.parametrize("named_layer", [False, True], ids=["all", "one layer"])
def test_penalties(
    compare: Callable[..., None], name: str, regularization: dict[str, float], named_layer: bool
) -> None:
    layers = [LAYER[name]]
    penalized = [
        key
        for key in (*WEIGHTS[name], *EMBEDDINGS[name])
        if not named_layer or key.partition(".")[0] in layers
    ]
    net, beta = regularization.get("elastic_net", 0), regularization.get("elastic_net_beta", 0.5)
    l1, l2 = regularization.get("l1", 0) + net * beta, regularization.get("l2", 0) + net * (1 - beta)

    def penalty(named: Named) -> Tensor:
        return sum(
            (l1 * named[key].abs().sum() + l2 / 2 * named[key].square().sum() for key in penalized),
            torch.zeros(()),
        )

    given = regularization | ({"layers": layers} if named_layer else {})
    compare(name, {"regularization": given}, penalty=penalty)


@both
def test_max_norm_limits_what_comes_into_each_unit(compare: Callable[..., None], name: str) -> None:
    def limit(named: Named) -> None:
        for key in (*WEIGHTS[name], *EMBEDDINGS[name]):
            parts = named[key].chunk(2) if key == "up.weight" else (named[key],)
            axis = 1 if key == "up.weight" else 0
            for part in parts:
                # Of a transposed convolution (inputs, outputs / groups, kernel), group by group.
                part.copy_(torch.renorm(part, 2, axis, 0.5))

    compare(name, {"regularization": {"max_norm": 0.5}}, after=limit)


@both
def test_clipping_by_layer_takes_a_layers_parameters_together(
    compare: Callable[..., None], name: str
) -> None:
    def clip(named: Named) -> None:
        layers: dict[str, list[nn.Parameter]] = {}
        for key, parameter in named.items():
            layers.setdefault(key.rpartition(".")[0], []).append(parameter)
        for own in layers.values():
            nn.utils.clip_grad_norm_(own, 0.02)

    compare(name, {"train": {"clip": {"name": "per_layer", "max_grad_norm": 0.02}}}, before=clip)


@both
def test_pruning_zeroes_the_smallest_of_each_weight(
    make_trial: Callable[..., TrialSpec], new_run: Callable[..., Run], name: str
) -> None:
    model = {"name": "module", "path": f"their_roles:{name}"}
    trial = make_trial(activation="relu", model=model, optimizer=SGD, regularization={"prune": 0.4})
    run = _trained(trial, new_run())
    kept = load_checkpoint(run.location / "checkpoints" / "t00000")[0]
    expected = _plain(trial, _sgd)
    for key, parameter in expected.items():
        values = parameter.detach().clone()
        if key in WEIGHTS[name]:
            pruned = prune.l1_unstructured(_holding(values), "weight", amount=int(0.4 * values.numel()))
            values = pruned.weight.detach()
        torch.testing.assert_close(kept[key], values, rtol=2e-3, atol=2e-5, msg=key)


def _holding(values: Tensor) -> nn.Module:
    part = nn.Module()
    part.register_parameter("weight", nn.Parameter(values))
    return part


class _Muon(torch.optim.Optimizer):
    """V ← μV + (1−μ)G; W ← W(1 − ηλ) − η √max(1, out/in) NS((1−μ)G + μV), group by group of a convolution."""

    def __init__(self, parameters: list[nn.Parameter], transposed: nn.Parameter | None) -> None:
        super().__init__(parameters, {})
        self._transposed = transposed

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for parameter in self.param_groups[0]["params"]:
            velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
            velocity.mul_(0.95).add_(parameter.grad, alpha=0.05)
            ahead = 0.05 * parameter.grad + 0.95 * velocity
            if parameter is self._transposed:
                # (inputs, outputs / groups, kernel) of two groups: a row for each channel that comes out.
                matrix = torch.cat([part.transpose(0, 1).flatten(1) for part in ahead.chunk(2)])
            else:
                matrix = ahead.flatten(1)
            out, inputs = matrix.shape
            step = _newton_schulz(matrix) * max(1, out / inputs) ** 0.5
            if parameter is self._transposed:
                _, units, kernel = parameter.shape
                rows = [part.view(units, -1, kernel).transpose(0, 1) for part in step.chunk(2)]
                step = torch.cat(rows)
            parameter.mul_(1 - 0.02 * 0.1).sub_(0.02 * step.reshape(parameter.shape))


def _newton_schulz(matrix: Tensor) -> Tensor:
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / matrix.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


@both
def test_muon_takes_kernels_and_gates_as_matrices_and_the_rest_by_adamw(
    compare: Callable[..., None], name: str
) -> None:
    def optimizers(named: Named) -> list[torch.optim.Optimizer]:
        hidden = WEIGHTS[name][:-1]
        rest = [parameter for key, parameter in named.items() if key not in hidden]
        adamw = torch.optim.AdamW(rest, lr=0.01, betas=(0.9, 0.95), eps=1e-2, weight_decay=0.1)
        return [_Muon([named[key] for key in hidden], named.get("up.weight")), adamw]

    compare(name, {"optimizer": MUON}, stepping=optimizers)


@both
def test_every_layer_of_a_users_module_is_diagnosed(
    make_trial: Callable[..., TrialSpec], new_run: Callable[..., Run], name: str
) -> None:
    model = {"name": "module", "path": f"their_roles:{name}"}
    train = {"diagnostics": True, "epochs": 1, "batch_size": 120}
    trial = make_trial(activation="relu", model=model, optimizer=SGD, train=train)
    run = _trained(trial, new_run())
    network = _network(trial)
    before = {key: parameter.detach().clone() for key, parameter in network.named_parameters()}
    data = load_dataset(trial.data).train
    nn.functional.cross_entropy(network(data.inputs), data.targets).backward()
    rows = {row["layer"]: row for row in read(run.location, "layers").to_pylist()}
    layers: dict[str, list[str]] = {}
    for key in before:
        layers.setdefault(key.rpartition(".")[0], []).append(key)
    assert sorted(rows, key=lambda layer: rows[layer]["depth"]) == list(layers)
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    for layer, keys in layers.items():
        grads = torch.cat([gradients[key].flatten() for key in keys])  # type: ignore[union-attr]
        old = torch.cat([before[key].flatten() for key in keys])
        row = rows[layer]
        assert row["gradient_norm"] == pytest.approx(float(grads.norm()), rel=1e-3, abs=1e-6)
        assert row["weight_norm"] == pytest.approx(float((old - 0.1 * grads).norm()), rel=1e-3)
        assert row["update_ratio"] == pytest.approx(
            0.1 * float(grads.norm() / old.norm()), rel=1e-3, abs=1e-6
        )


def test_what_is_unknown_is_said_once_and_an_unknown_layer_has_a_nearest_one(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    model = {"name": "module", "path": "their_roles:Sequence"}
    (line,) = summarize(make_trial(activation="relu", model=model)).told
    assert line.startswith(
        "their_roles:Sequence: no type of torch's tells what gain does; l1, l2, elastic_net, "
    )
    assert summarize(make_trial(activation="relu", model=model | {"path": "their_roles:Picture"})).told == []
    trials = [make_trial(activation="relu", model=model, seed=seed) for seed in (1, 2)]
    assert unknown_roles([*trials, make_trial()], load_dataset(trials[0].data)) == [line]
    wrong = {"l2": 0.1, "layers": ["lstn"]}
    with pytest.raises(JobError, match=r"unknown layer 'lstn'.*lstm.*lstm"):
        fit([make_trial(activation="relu", model=model, regularization=wrong)])
