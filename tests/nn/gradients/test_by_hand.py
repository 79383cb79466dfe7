"""Backpropagation by hand against autograd: every kind of layer, alone and in company."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from raydnn.data.inputs import Inputs
from raydnn.nn.activations import ACTIVATIONS, BY_HAND, activate, activate_by_hand, pull_back
from raydnn.nn.gradients.by_hand import Backprop
from raydnn.nn.models.mlp import mlp
from raydnn.spec.axes.activation import Elu, LeakyRelu
from raydnn.spec.base import Component
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.groups import member_groups
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")
FEATURES, OUTPUTS, EXAMPLES = 5, 3, 8
MLP = {"name": "mlp", "widths": [8, 4]}
RESIDUAL = {"name": "residual_mlp", "blocks": 2, "width": 8}
BATCH_NORM = {"name": "batch_norm", "eps": 1e-3}
GROUP_NORM = {"name": "group_norm", "groups": 2}
ACTIVATION_SPECS: dict[str, Component] = {
    name: cls(name=name) for name, cls in components("activation").items()
}
SLOPED: dict[str, list[Component]] = {
    "elu": [Elu(alpha=alpha) for alpha in (0.5, 1.0, 2.0)],
    "leaky_relu": [LeakyRelu(alpha=alpha) for alpha in (0.0, 0.3, 0.9)],
}
"""Members of one stack that differ in what they have."""

KINDS: dict[str, list[dict[str, Any]]] = {
    **{name: [{"activation": name}] for name in ACTIVATIONS},
    "mixed": [
        {"activation": "relu"},
        {"activation": {"name": "elu", "alpha": 0.5}},
        {"activation": {"name": "leaky_relu", "alpha": 0.2}},
        {"activation": "tanh"},
        {"activation": "mish"},
    ],
    "mixed with autograd": [{"activation": "relu"}, {"activation": "rrelu"}, {"activation": "sign"}],
    **{
        f"{name} {position}": [{"normalization": {"name": name, "position": position, **more}}]
        for name, more in (("batch_norm", {}), ("layer_norm", {}), ("group_norm", {"groups": 2}))
        for position in ("before_activation", "after_activation")
    },
    "mixed normalized": [
        {"activation": "silu", "normalization": {**BATCH_NORM, "momentum": 0.3}},
        {"activation": "softmax", "normalization": BATCH_NORM},
    ],
    "heaviside normalized": [{"activation": "heaviside", "normalization": GROUP_NORM}],
    "prelu normalized": [{"activation": "prelu", "normalization": GROUP_NORM}],
    "input norm": [{"normalization": {**BATCH_NORM, "inputs": True}}],
    "input norm and dropout": [
        {"normalization": {**BATCH_NORM, "inputs": True}, "regularization": {"input_dropout": 0.3}}
    ],
    "input dropout": [{"regularization": {"input_dropout": 0.3}}, {}],
    "dropout": [{"regularization": {"dropout": 0.4}}, {"regularization": {"dropout": 0.2}}, {}],
    "dropout in the last layer": [{"regularization": {"dropout": 0.4, "dropout_last_layer_only": True}}, {}],
    "alpha dropout": [
        {"activation": "selu", "regularization": {"alpha_dropout": 0.2}},
        {"activation": "selu"},
    ],
    "both dropouts": [{"regularization": {"alpha_dropout": 0.2}}, {"regularization": {"dropout": 0.2}}],
    "dropout and autograd": [{"activation": "rrelu", "regularization": {"dropout": 0.4}}],
    "residual": [{"model": RESIDUAL}],
    "residual of one block": [{"model": {**RESIDUAL, "blocks": 1}, "activation": "silu"}],
    "residual with dropout": [{"model": RESIDUAL, "regularization": {"dropout": 0.3}}],
    "residual prelu": [{"model": RESIDUAL, "activation": "prelu"}],
    "residual heaviside": [{"model": RESIDUAL, "activation": "heaviside"}],
    **{
        f"residual {name} {position}": [
            {"model": RESIDUAL, "normalization": {"name": name, "position": position, **more}}
        ]
        for name, more in (("batch_norm", {}), ("layer_norm", {}), ("group_norm", {"groups": 2}))
        for position in ("before_activation", "after_activation")
    },
    "no hidden layer": [{"model": "perceptron"}],
    "no hidden layer, input dropout": [{"model": "perceptron", "regularization": {"input_dropout": 0.3}}],
}
"""What the members of a stack are, one after the other, over and over."""


@pytest.fixture
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _trials(kind: str, members: int) -> list[TrialSpec]:
    own = KINDS[kind]
    given = {"data": "digits", "optimizer": "sgd", "model": MLP, "activation": "tanh"}
    return [
        TrialSpec.from_training(Training.model_validate({**given, **own[k % len(own)], "seed": k // 2}))
        for k in range(members)
    ]


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class _Both:
    """The same members twice: one stack for each way to its gradients."""

    def __init__(self, trials: list[TrialSpec], descending: Sequence[slice] = ()) -> None:
        network = mlp(trials[0], Inputs((FEATURES,)), OUTPUTS)
        layout = network.layout
        flat = torch.stack([network.start(trial)[0] for trial in trials])
        statistics = network.start(trials[0])[1].expand(len(trials), -1).clone()
        # Biases, scales and slopes that are neither 0 nor equal, so that none of them hides a mistake.
        for seed, view in enumerate(layout.views(flat).values()):
            view.add_(_normal(*view.shape, seed=seed), alpha=0.3)
        self.trials = trials
        self.statistics = [statistics, statistics.clone()]
        self.modules = [
            network.module(parameters, trials, own)
            for parameters, own in zip((flat, flat.clone()), self.statistics, strict=True)
        ]
        self.gradients = torch.full_like(flat, torch.nan)
        self.views = layout.views(self.gradients)
        self.parameters = layout.views(flat)
        self.by_hand = Backprop(self.modules[0], self.parameters, self.views, descending)

    def noise(self, epoch: int) -> Noise:
        return Noise([trial.seed for trial in self.trials], epoch, CPU)

    def backpropagate(self, inputs: Tensor, of_outputs: Tensor, epoch: int, add: bool) -> list[Tensor]:
        """The outputs of both; afterwards the gradients stand where they belong."""
        with torch.no_grad():
            found = self.by_hand.forward(inputs, Context(self.noise(epoch), inputs.shape[-2]))
            self.by_hand.backward(of_outputs, add)
        expected = self.modules[1](inputs, Context(self.noise(epoch), inputs.shape[-2]))
        expected.backward(of_outputs)
        return [found, expected.detach()]


def _check(kind: str, members: int, own_batches: bool, tolerance: float) -> None:
    both = _Both(_trials(kind, members))
    shape = (members, EXAMPLES, FEATURES) if own_batches else (EXAMPLES, FEATURES)
    # The second batch replaces nothing, but adds; the first one replaces whatever there was.
    for batch, add in enumerate((False, True)):
        inputs = _normal(*shape, seed=10 + batch)
        of_outputs = _normal(members, EXAMPLES, OUTPUTS, seed=20 + batch)
        found, expected = both.backpropagate(inputs, of_outputs, 1 + batch, add)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
        for name, parameter in both.modules[1].named_parameters():
            wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert both.views[name].isfinite().all(), name
            distance = (both.views[name] - wanted).norm()
            assert distance <= tolerance * max(1.0, wanted.norm().item()), name
    assert torch.equal(*both.statistics)


def test_every_activation_and_normalization_is_in_the_table() -> None:
    used = [trial for kind in KINDS for trial in _trials(kind, 5)]
    assert {trial.activation.name for trial in used} == set(ACTIVATIONS)
    assert {trial.normalization.name for trial in used} == set(components("normalization"))
    # The others go through autograd, layer by layer.
    assert BY_HAND.keys() < ACTIVATIONS.keys()


@pytest.mark.parametrize(("members", "own_batches"), [(1, False), (5, False), (5, True)])
@pytest.mark.parametrize("kind", KINDS)
def test_by_hand_is_autograd(kind: str, members: int, own_batches: bool) -> None:
    _check(kind, members, own_batches, 1e-5)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("kind", KINDS)
def test_by_hand_is_autograd_in_double_precision(kind: str) -> None:
    _check(kind, 3, own_batches=True, tolerance=1e-12)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    "kind", ["mish", "mixed", "input norm", "both dropouts", "residual batch_norm before_activation"]
)
def test_by_hand_is_the_slope_of_the_loss(kind: str) -> None:
    """Autograd apart: a small step along any direction changes the loss as the gradient says."""
    both = _Both(_trials(kind, 3))
    module = both.modules[1]
    inputs, of_outputs = _normal(EXAMPLES, FEATURES, seed=1), _normal(3, EXAMPLES, OUTPUTS, seed=2)
    both.backpropagate(inputs, of_outputs, 1, add=False)

    def loss() -> float:
        return float((module(inputs, Context(both.noise(1), EXAMPLES)) * of_outputs).sum())

    with torch.no_grad():
        for seed, (name, parameter) in enumerate(module.named_parameters()):
            way = _normal(*parameter.shape, seed=seed) * 1e-5
            parameter += way
            above = loss()
            parameter -= 2 * way
            below = loss()
            parameter += way
            slope = float((both.views[name] * way).sum()) * 2
            assert above - below == pytest.approx(slope, rel=1e-4, abs=1e-10), name


@pytest.mark.parametrize("own_batches", [False, True])
@pytest.mark.parametrize(
    "descending",
    [[slice(0, 4)], [slice(0, 2)], [slice(1, 2), slice(3, 4)]],
    ids=["all", "the first", "between"],
)
@pytest.mark.parametrize(
    "kind", ["relu", "mixed", "prelu normalized", "input norm", "residual batch_norm after_activation"]
)
def test_descending_is_a_step_along_the_gradient(
    kind: str, descending: list[slice], own_batches: bool
) -> None:
    """Members that descend are moved by what autograd gives them, the others are not, and get it as a gradient."""
    both = _Both(_trials(kind, 4), descending)
    inputs = _normal(*((4,) if own_batches else ()), EXAMPLES, FEATURES, seed=1)
    of_outputs = _normal(4, EXAMPLES, OUTPUTS, seed=2) * 0.1
    before = {name: view.clone() for name, view in both.parameters.items()}
    with both.by_hand.descent():
        both.backpropagate(inputs, of_outputs, 1, add=False)
    moved = torch.zeros(4, dtype=torch.bool)
    for own in descending:
        moved[own] = True
    for name, parameter in both.modules[1].named_parameters():
        wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        change = both.parameters[name] - before[name]
        torch.testing.assert_close(change[moved], wanted[moved], rtol=1e-4, atol=1e-5, msg=name)
        assert torch.equal(both.parameters[name][~moved], before[name][~moved]), name
        torch.testing.assert_close(both.views[name][~moved], wanted[~moved], rtol=1e-4, atol=1e-5, msg=name)
        assert both.views[name][moved].isnan().all(), "no gradient is kept of what has descended"
    # Afterwards every member has its gradient again.
    both.backpropagate(inputs, of_outputs, 2, add=False)
    assert all(view.isfinite().all() for view in both.views.values())


@pytest.mark.parametrize("kind", ["input norm", "prelu normalized"])
def test_nothing_of_autograd_lives_on_after_a_pass(kind: str) -> None:
    """What leads from the parameters into a pass would else be captured with another one's."""
    both = _Both(_trials(kind, 2))
    with torch.no_grad():
        both.by_hand.forward(_normal(EXAMPLES, FEATURES, seed=1), Context(both.noise(1), EXAMPLES))
        parameters = [p for name, p in both.modules[0].named_parameters() if "norm" in name]
        assert any(_is_held(parameter) for parameter in parameters), "before the backward pass it is needed"
        both.by_hand.backward(_normal(2, EXAMPLES, OUTPUTS, seed=2), add=False)
    assert not any(_is_held(parameter) for parameter in parameters)


def _is_held(parameter: Tensor) -> bool:
    """Whether a parameter's node, which is made when it is asked for, is held by others, too."""
    get_gradient_edge(parameter).node.metadata["seen"] = True
    return "seen" in get_gradient_edge(parameter).node.metadata


@pytest.mark.parametrize("width", [16, 12])
def test_a_member_descends_alike_in_any_stack(width: int) -> None:
    """Side by side or apart (12 · 12 numbers are no multiple of 64 bytes), in a stack or alone: the same bits."""
    model = {"name": "mlp", "widths": [width, width]}
    own = [{"data": "digits", "optimizer": "sgd", "model": model, "seed": seed} for seed in range(5)]
    trials = [TrialSpec.from_training(Training.model_validate(fields)) for fields in own]
    network = mlp(trials[0], Inputs((width,)), OUTPUTS)
    layout = network.layout
    inputs, of_outputs = _normal(32, width, seed=1), _normal(5, 32, OUTPUTS, seed=2)

    def descended(members: slice) -> Tensor:
        some = trials[members]
        flat = torch.stack([network.start(trial)[0] for trial in some])
        views = layout.views(flat)
        gradients = layout.views(torch.zeros_like(flat))
        by_hand = Backprop(network.module(flat, some), views, gradients, [slice(0, len(some))])
        noise = Noise([trial.seed for trial in some], 1, CPU)
        with torch.no_grad(), by_hand.descent():
            for _ in range(3):
                by_hand.forward(inputs, Context(noise, 32))
                by_hand.backward(of_outputs[members].mT.contiguous().mT, add=False)
        return flat

    together = descended(slice(0, 5))
    for k in range(5):
        torch.testing.assert_close(descended(slice(k, k + 1))[0], together[k], rtol=1e-5, atol=1e-6)
        if width == 16:
            assert torch.equal(descended(slice(k, k + 1))[0], together[k])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", BY_HAND)
def test_derivatives_are_autograds_everywhere(name: str, dtype: torch.dtype) -> None:
    extremes = [0.0, -0.0, 1e4, -1e4, 100.0, -100.0, 20.0, -20.0, 1e-30, -1e-30]
    z = torch.cat([torch.tensor(extremes), 3 * _normal(290, seed=3)]).to(dtype).view(3, 4, 25)
    runs = member_groups(SLOPED.get(name, [ACTIVATION_SPECS[name]] * 3), CPU)
    leaf = z.clone().requires_grad_()
    h = activate(runs, leaf)
    of_h = _normal(*z.shape, seed=4).to(dtype)
    (expected,) = torch.autograd.grad(h, leaf, of_h)
    active, kept = activate_by_hand(runs, z)
    assert torch.equal(active, h)
    found = pull_back(runs, of_h, kept)
    assert found.isfinite().all()
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_an_activation_without_a_derivative_is_not_applied() -> None:
    with pytest.raises(KeyError, match="softmax"):
        activate_by_hand(member_groups([ACTIVATION_SPECS["softmax"]], CPU), torch.zeros(1, 2, 3))
