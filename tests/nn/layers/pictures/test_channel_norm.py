"""Normalization of a picture's channels against torch.nn: values, gradients, running averages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from raydnn.nn.layers.normalization import NormalizationLayer
from raydnn.nn.layers.pictures.channel_norm import CHANNEL_NORMALIZATIONS
from raydnn.spec.catalogue.kinds import components
from raydnn.stacking.context import EVALUATION

CHANNELS = 8
MOMENTA = (0.1, 0.6)


def _torch(name: str, eps: float, momentum: float) -> nn.Module:
    if name == "batch_norm":
        return nn.BatchNorm2d(CHANNELS, eps, momentum).double()
    return nn.GroupNorm(1 if name == "layer_norm" else 4, CHANNELS, eps).double()


def test_every_normalization_has_an_implementation() -> None:
    assert set(CHANNEL_NORMALIZATIONS) == set(components("normalization")) - {"none"}


@pytest.mark.parametrize("name", CHANNEL_NORMALIZATIONS)
@pytest.mark.parametrize("epsilons", [(1e-5, 1e-5), (1e-5, 1e-2)])
def test_values_gradients_and_averages_are_those_of_torch(
    make_trial: Any, members_of: Any, normal: Any, training: Any, name: str, epsilons: tuple[float, float]
) -> None:
    more = [{"momentum": m} if name == "batch_norm" else {} for m in MOMENTA]
    trials = [
        make_trial(normalization={"name": name, "eps": eps, **m})
        for eps, m in zip(epsilons, more, strict=True)
    ]
    layer = NormalizationLayer("n", (CHANNELS, 5, 4), name == "batch_norm")
    members = members_of(layer, trials)
    stack = layer.module(members)
    before = {key: value.clone() for key, value in members.statistics.items()}
    examples = normal(2, 6, CHANNELS, 5, 4).requires_grad_()
    outputs = stack(examples, training(6))
    found = torch.autograd.grad(outputs.square().sum(), [examples, stack.scale, stack.shift])
    for member in range(2):
        own = _torch(name, epsilons[member], MOMENTA[member])
        with torch.no_grad():
            own.weight.copy_(stack.scale[member])
            own.bias.copy_(stack.shift[member])
            if name == "batch_norm":
                own.running_mean.copy_(before["n.mean"][member])
                own.running_var.copy_(before["n.variance"][member])
        given = examples[member].detach().requires_grad_()
        expected = own(given)
        torch.testing.assert_close(outputs[member], expected)
        gradients = torch.autograd.grad(expected.square().sum(), [given, own.weight, own.bias])
        for gradient, of_torch in zip(found, gradients, strict=True):
            torch.testing.assert_close(gradient[member], of_torch)
        if name == "batch_norm":
            torch.testing.assert_close(stack.mean[member], own.running_mean)
            torch.testing.assert_close(stack.variance[member], own.running_var)
        own.eval()
        with torch.no_grad():
            torch.testing.assert_close(stack(examples, EVALUATION)[member], own(given))


def test_one_number_a_channel_has_no_variance(
    make_trial: Any, members_of: Any, normal: Any, training: Any
) -> None:
    layer = NormalizationLayer("n", (CHANNELS, 1, 1), running=True)
    members = members_of(layer, [make_trial(normalization="batch_norm")] * 2)
    before = members.statistics["n.variance"].clone()
    layer.module(members)(normal(2, 1, CHANNELS, 1, 1), training(1))
    assert torch.equal(members.statistics["n.variance"], before)


def test_a_sequence_is_normalized_as_its_positions_are(
    make_trial: Any, members_of: Any, normal: Any, training: Any
) -> None:
    layer = NormalizationLayer("n", (7, CHANNELS), running=True)
    members = members_of(layer, [make_trial(normalization="batch_norm")] * 2)
    stack = layer.module(members)
    examples = normal(2, 6, 7, CHANNELS)
    outputs = stack(examples, training(6))
    for member in range(2):
        own = nn.BatchNorm1d(CHANNELS).double()
        with torch.no_grad():
            own.weight.copy_(stack.scale[member])
            own.bias.copy_(stack.shift[member])
        torch.testing.assert_close(outputs[member], own(examples[member].mT).mT)
