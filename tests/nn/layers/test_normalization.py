"""Normalization of a stack against torch.nn: values, gradients, running averages, and where it stands."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydnn.data.inputs import Inputs
from raydnn.nn.layers.norm_layer import NormLayer
from raydnn.nn.layers.normalization import NORMALIZATIONS
from raydnn.nn.models.mlp import mlp
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")
EPS = (1e-5, 1e-2)
MOMENTA = (0.1, 0.6)


def _trial(**fields: Any) -> TrialSpec:
    return TrialSpec.from_training(
        Training.model_validate({"data": "digits", "optimizer": "sgd", "activation": "tanh", **fields})
    )


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _torch_layer(name: str, member: int, width: int) -> nn.Module:
    if name == "batch_norm":
        return nn.BatchNorm1d(width, EPS[member], MOMENTA[member])
    if name == "layer_norm":
        return nn.LayerNorm(width, EPS[member])
    return nn.GroupNorm(4, width, EPS[member])


def _layer(name: str, width: int) -> NormLayer:
    """Two members that differ in all that a stack may differ in, and in γ and β."""
    more = [{"momentum": m} if name == "batch_norm" else {} for m in MOMENTA]
    trials = [_trial(normalization={"name": name, "eps": e, **m}) for e, m in zip(EPS, more, strict=True)]
    parameters = {"scale": _normal(2, width, seed=1).double(), "shift": _normal(2, width, seed=2).double()}
    running = {"mean": torch.zeros(2, width).double(), "variance": torch.ones(2, width).double()}
    return NormLayer(trials, parameters, running if name == "batch_norm" else {}, NORMALIZATIONS[name])


def _training(examples: int) -> Context:
    return Context(Noise([0, 0], 1, CPU), examples)


def test_every_normalization_has_an_implementation() -> None:
    assert set(NORMALIZATIONS) == set(components("normalization")) - {"none"}


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_values_gradients_and_averages_are_those_of_torch(name: str) -> None:
    layer = _layer(name, 8)
    theirs = [_torch_layer(name, member, 8).double() for member in range(2)]
    for member, module in enumerate(theirs):
        module.weight.data = layer.scale[member].detach().clone()
        module.bias.data = layer.shift[member].detach().clone()
    for batch in range(3):
        z = (3 * _normal(2, 6, 8, seed=3 + batch) + 2).double().requires_grad_()
        outputs = layer(z, _training(6))
        outputs.pow(3).sum().backward()
        for member, module in enumerate(theirs):
            own = z[member].detach().clone().requires_grad_()
            expected = module(own)
            torch.testing.assert_close(outputs[member], expected)
            expected.pow(3).sum().backward()
            assert z.grad is not None
            torch.testing.assert_close(z.grad[member], own.grad)
    z = _normal(2, 5, 8, seed=9).double()
    for member, module in enumerate(theirs):
        for ours, wanted in ((layer.scale, module.weight), (layer.shift, module.bias)):
            assert ours.grad is not None
            torch.testing.assert_close(ours.grad[member], wanted.grad)
        torch.testing.assert_close(layer(z)[member], module.eval()(z[member]))
        if isinstance(module, nn.BatchNorm1d):
            torch.testing.assert_close(layer.mean[member], module.running_mean)
            torch.testing.assert_close(layer.variance[member], module.running_var)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_batch_of_one_example_leaves_everything_finite(name: str) -> None:
    layer = _layer(name, 8)
    z = _normal(2, 1, 8).double().requires_grad_()
    outputs = layer(z, _training(1))
    outputs.square().sum().backward()
    found = [outputs, z.grad, layer.scale.grad, layer.shift.grad]
    assert all(tensor is not None and tensor.isfinite().all() for tensor in found)
    if name == "batch_norm":
        assert torch.equal(layer.variance, torch.ones(2, 8).double())
        assert not list(layer.buffers())


@pytest.mark.parametrize("position", ["before_activation", "after_activation"])
def test_batch_norm_stands_where_it_is_told(position: str) -> None:
    trial = _trial(
        normalization={"name": "batch_norm", "position": position, "inputs": True}, model={"widths": [6, 4]}
    )
    network = mlp(trial, Inputs((5,)), 3)
    layout = network.layout
    before = position == "before_activation"
    assert ("layers.0.bias" in layout.shapes) is not before
    assert layout.shapes["layers.2.bias"] == (3,)
    assert layout.shapes["layers.1.norm.scale"] == layout.statistics["layers.1.norm.variance"].shape == (4,)
    assert layout.shapes["input_norm.shift"] == layout.statistics["input_norm.mean"].shape == (5,)
    # Each begins at a multiple of 16.
    assert layout.statistics_size == 2 * 3 * 16
    flat = network.start(trial)[0].unsqueeze(0)
    assert all((view == 1).all() for name, view in layout.views(flat).items() if name.endswith("scale"))
    statistics = network.start(trial)[1].unsqueeze(0)
    module = network.module(flat, [trial], statistics)
    assert [name for name, _ in module.named_parameters() if name not in layout.shapes] == []
    views = layout.views(flat)
    parts: list[nn.Module] = [nn.BatchNorm1d(5)]
    for number, (fan_in, fan_out) in enumerate(((5, 6), (6, 4), (4, 3))):
        dense = nn.Linear(fan_in, fan_out)
        dense.weight.data = views[f"layers.{number}.weight"][0].clone()
        dense.bias.data.zero_()
        rest = [nn.BatchNorm1d(fan_out), nn.Tanh()] if number < 2 else []
        parts += [dense, *(rest if before else reversed(rest))]
    theirs = nn.Sequential(*parts)
    inputs = 2 * _normal(7, 5) + 1
    noise = Noise([0], 1, CPU)
    for _ in range(2):
        torch.testing.assert_close(module(inputs, Context(noise, 7))[0], theirs(inputs), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(module(inputs)[0], theirs.eval()(inputs), rtol=1e-5, atol=1e-5)
    assert not torch.equal(statistics[0], network.start(trial)[1])


@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
def test_other_normalizations_keep_the_bias_and_no_averages(name: str) -> None:
    network = mlp(_trial(normalization=name, model={"widths": [8]}), Inputs((5,)), 3)
    layout = network.layout
    assert {"layers.0.bias", "layers.0.norm.scale", "layers.0.norm.shift"} <= set(layout.shapes)
    assert layout.statistics == {}


def _residual(**fields: Any) -> TrialSpec:
    model = {"name": "residual_mlp", "blocks": 2, "width": 6, **fields.pop("model", {})}
    return _trial(model=model, **fields)


def test_a_residual_block_adds_its_input() -> None:
    trial = _residual()
    network = mlp(trial, Inputs((5,)), 3)
    layout = network.layout
    flat = network.start(trial)[0].unsqueeze(0)
    views = {name: view[0] for name, view in layout.views(flat).items()}
    inputs = _normal(7, 5)

    def dense(hidden: Tensor, layer: int) -> Tensor:
        return hidden @ views[f"layers.{layer}.weight"].T + views[f"layers.{layer}.bias"]

    hidden = dense(inputs, 0).tanh()
    for first in (1, 3):
        hidden = (hidden + dense(dense(hidden, first).tanh(), first + 1)).tanh()
    torch.testing.assert_close(network.module(flat, [trial])(inputs)[0], dense(hidden, 5))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_blocks_with_zero_scales_begin_as_identities(name: str) -> None:
    normalization = {"name": name, **({"groups": 3} if name == "group_norm" else {})}
    trial = _residual(model={"zero_init_last_norm": True}, normalization=normalization, activation="relu")
    network = mlp(trial, Inputs((5,)), 3)
    layout = network.layout
    flat = network.start(trial)[0].unsqueeze(0)
    views = layout.views(flat)
    zero = [key for key, view in views.items() if key.endswith("scale") and not view.any()]
    assert zero == ["layers.2.norm.scale", "layers.4.norm.scale"]
    module = network.module(flat, [trial], network.start(trial)[1].unsqueeze(0))
    inputs = _normal(7, 5)
    bias = views["layers.0.bias"][0] if "layers.0.bias" in views else 0
    norm = module.get_submodule("layers.0.norm")
    hidden = norm((inputs @ views["layers.0.weight"][0].T + bias).unsqueeze(0)).relu()
    torch.testing.assert_close(module(inputs), hidden @ views["layers.5.weight"].mT + views["layers.5.bias"])
