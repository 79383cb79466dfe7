"""The stacked multi-layer perceptron against torch.nn, its layout, and its dropout."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydnn.data.inputs import Inputs
from raydnn.nn.models.mlp import mlp
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.noise import Noise
from raydnn.stacking.roles import Parameter, Role

CPU = torch.device("cpu")


def _trial(**fields: Any) -> TrialSpec:
    return TrialSpec.from_training(
        Training.model_validate({"data": "digits", "optimizer": "sgd", "activation": "linear", **fields})
    )


def _dropout(rate: float, seed: int = 0) -> TrialSpec:
    return _trial(regularization={"dropout": rate}, seed=seed)


def test_the_layout_is_that_of_the_textbook_network() -> None:
    network = mlp(_trial(model={"widths": [300, 100]}), Inputs((784,)), 10)
    layout = network.layout
    assert layout.shapes == {
        "layers.0.weight": (300, 784),
        "layers.0.bias": (300,),
        "layers.1.weight": (100, 300),
        "layers.1.bias": (100,),
        "layers.2.weight": (10, 100),
        "layers.2.bias": (10,),
    }
    assert layout.count == 235_500 + 30_100 + 1_010


def test_views_lie_in_the_row_in_order_each_at_a_multiple_of_16() -> None:
    shapes: dict[str, tuple[int, ...]] = {"a": (2, 3), "b": (4,), "c": (1, 1)}
    layout = Layout({name: Parameter(shape, Role.OTHER, name) for name, shape in shapes.items()})
    assert (layout.count, layout.size) == (11, 48)
    flat = torch.arange(2.0 * layout.size).view(2, -1)
    views = layout.views(flat)
    assert {name: view.shape[1:] for name, view in views.items()} == layout.shapes
    joined = torch.cat([view.reshape(2, -1) for view in views.values()], dim=1)
    assert joined[0].tolist() == [*range(6), *range(16, 20), 32]
    assert torch.equal(joined[1], joined[0] + 48)
    views["b"][1] = -1
    assert flat[1, 16:20].tolist() == [-1] * 4
    assert flat[1, 15] == 63
    assert (flat[0] >= 0).all()


@pytest.mark.parametrize("own_batches", [False, True])
def test_outputs_and_gradients_are_those_of_torch_nn(own_batches: bool) -> None:
    trials = [_trial(activation="relu", init="glorot_uniform", seed=seed) for seed in range(3)]
    network = mlp(_trial(model={"widths": [9, 8]}), Inputs((7,)), 5)
    layout = network.layout
    flat = torch.stack([network.start(trial)[0] for trial in trials])
    flat += 0.1
    module = network.module(flat, trials)
    inputs = torch.randn(3, 6, 7) if own_batches else torch.randn(6, 7)
    outputs = module(inputs)
    outputs.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    assert set(gradients) == set(layout.shapes)
    for member in range(3):
        dense = [nn.Linear(7, 9), nn.Linear(9, 8), nn.Linear(8, 5)]
        for number, layer in enumerate(dense):
            views = layout.views(flat[member : member + 1])
            layer.weight.data = views[f"layers.{number}.weight"][0].clone()
            layer.bias.data = views[f"layers.{number}.bias"][0].clone()
        network = nn.Sequential(dense[0], nn.ReLU(), dense[1], nn.ReLU(), dense[2])
        expected = network(inputs[member] if own_batches else inputs)
        torch.testing.assert_close(outputs[member], expected, rtol=1e-5, atol=1e-6)
        expected.square().sum().backward()
        for number, layer in enumerate(dense):
            for name, gradient in (("weight", layer.weight.grad), ("bias", layer.bias.grad)):
                found = gradients[f"layers.{number}.{name}"]
                assert found is not None
                assert gradient is not None
                torch.testing.assert_close(found[member], gradient, rtol=1e-4, atol=1e-5)


def test_the_modules_parameters_are_views_of_the_matrix() -> None:
    network = mlp(_trial(model={"widths": [4]}), Inputs((3,)), 2)
    layout = network.layout
    flat = torch.zeros(2, layout.size)
    module = network.module(flat, [_trial(), _trial()])
    flat += 1
    assert all((parameter == 1).all() for parameter in module.parameters())
    assert sum(prod(parameter.shape) for parameter in module.parameters()) == 2 * layout.count
    assert all(p.untyped_storage().data_ptr() == flat.data_ptr() for p in module.parameters())


def test_first_parameters_are_seeded_and_differ_between_layers_and_seeds() -> None:
    network = mlp(_trial(model={"widths": [6, 6]}), Inputs((6,)), 6)
    layout = network.layout
    views = layout.views(network.start(_trial(seed=1))[0].unsqueeze(0))
    again = layout.views(network.start(_trial(seed=1))[0].unsqueeze(0))
    other = layout.views(network.start(_trial(seed=2))[0].unsqueeze(0))
    for name, view in views.items():
        assert torch.equal(view, again[name])
        if name.endswith("bias"):
            assert not view.any()
        else:
            assert not torch.equal(view, other[name])
    assert not torch.equal(views["layers.0.weight"], views["layers.1.weight"])


def test_a_layers_first_weights_do_not_depend_on_the_other_layers() -> None:
    network = mlp(_trial(model={"widths": [6]}), Inputs((6,)), 6)
    small = network.layout
    network = mlp(_trial(model={"widths": [6, 50]}), Inputs((6,)), 6)
    large = network.layout
    first = [layout.views(network.start(_trial())[0].unsqueeze(0)) for layout in (small, large)]
    assert torch.equal(first[0]["layers.0.weight"], first[1]["layers.0.weight"])


def _factors(trials: Sequence[TrialSpec], examples: int = 50, units: int = 200, epoch: int = 1) -> Tensor:
    """What dropout multiplies each hidden unit by: the outputs of identity layers for inputs of 1."""
    network = mlp(_trial(model={"widths": [units]}), Inputs((units,)), units)
    layout = network.layout
    flat = torch.zeros(len(trials), layout.size)
    for name, view in layout.views(flat).items():
        if name.endswith("weight"):
            view[:] = torch.eye(units)
    noise = Noise([trial.seed for trial in trials], epoch, CPU)
    outputs: Tensor = network.module(flat, trials)(
        torch.ones(examples, units), Context(noise, examples)
    ).detach()
    return outputs


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9, 0.99])
def test_dropout_drops_its_share_and_keeps_the_expectation(rate: float) -> None:
    factors = _factors([_dropout(rate)])
    n = factors.numel()
    dropped = (factors == 0).double().mean().item()
    assert dropped == pytest.approx(rate, abs=4.5 * sqrt(rate * (1 - rate) / n))
    assert factors[factors != 0].unique().tolist() == pytest.approx([1 / (1 - rate)], rel=1e-5)
    assert factors.mean().item() == pytest.approx(1.0, abs=4.5 * sqrt(rate / (1 - rate) / n))


def test_rate_0_is_the_exact_identity_among_members_that_drop() -> None:
    factors = _factors([_dropout(0.5), _dropout(0.0), _dropout(0.2, seed=1)])
    assert torch.equal(factors[1], torch.ones_like(factors[1]))
    assert (factors[[0, 2]] == 0).any()


def test_a_members_mask_does_not_depend_on_the_company() -> None:
    alone = _factors([_dropout(0.4, seed=3)])[0]
    among_equals = _factors([_dropout(0.4, seed=3), _dropout(0.7, seed=3)])
    among_others = _factors([_dropout(0.1, seed=1), _dropout(0.4, seed=3), _dropout(0.4, seed=8)])
    assert torch.equal(alone, among_equals[0])
    assert torch.equal(alone, among_others[1])
    assert not torch.equal(alone, among_others[2])
    # With equal seeds the smaller rate drops a part of what the larger one drops.
    assert ((among_equals[1] != 0) <= (among_equals[0] != 0)).all()
    assert not torch.equal(alone, _factors([_dropout(0.4, seed=3)], epoch=2)[0])


def test_evaluation_drops_nothing() -> None:
    network = mlp(_trial(model={"widths": [20]}), Inputs((20,)), 20)
    trials = [_dropout(0.9), _dropout(0.0)]
    flat = network.start(trials[0])[0].expand(2, -1).clone()
    outputs = network.module(flat, trials)(torch.randn(5, 20))
    assert torch.equal(outputs[0], outputs[1])


def test_prelu_learns_a_slope_for_each_hidden_unit() -> None:
    trials = [_trial(activation={"name": "prelu", "alpha": a}, model={"widths": [6, 4]}) for a in (0.1, 0.5)]
    network = mlp(trials[0], Inputs((5,)), 3)
    layout = network.layout
    assert {name: shape for name, shape in layout.shapes.items() if name.endswith("alpha")} == {
        "layers.0.alpha": (6,),
        "layers.1.alpha": (4,),
    }
    flat = torch.stack([network.start(trial)[0] for trial in trials])
    views = layout.views(flat)
    assert torch.equal(views["layers.0.alpha"], torch.tensor([[0.1] * 6, [0.5] * 6]))
    module = network.module(flat, trials)
    inputs = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    outputs = module(inputs)
    outputs.sum().backward()
    assert {name for name, _ in module.named_parameters()} == set(layout.shapes)
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())
    for k in range(2):
        hidden = inputs
        for layer in range(3):
            hidden = hidden @ views[f"layers.{layer}.weight"][k].T + views[f"layers.{layer}.bias"][k]
            if layer < 2:
                hidden = nn.functional.prelu(hidden, views[f"layers.{layer}.alpha"][k])
        torch.testing.assert_close(outputs[k], hidden)
