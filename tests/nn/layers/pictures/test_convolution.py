"""A stack's convolutions against torch's own, member by member: values, gradients, shapes, first values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydnn.nn.layers.pictures.convolution import ConvolutionLayer, Geometry
from raydnn.nn.layers.tail import tail_layer
from raydnn.stacking.roles import Role

GEOMETRIES = [
    Geometry(kernel, stride, padding, dilation, groups)
    for kernel, stride, padding, dilation, groups in (
        (3, 1, 1, 1, 1),
        (3, 2, 1, 1, 1),
        (1, 1, 0, 1, 1),
        (1, 2, 0, 1, 1),
        (2, 2, 0, 1, 2),
        (5, 1, 2, 1, 1),
        (3, 1, 0, 2, 1),
        (3, 2, 2, 2, 2),
        (7, 2, 3, 1, 1),
    )
]
MEMBERS = 2


def _torch(layer: ConvolutionLayer, weight: Tensor, bias: Tensor | None) -> nn.Module:
    geometry, one_dimension = layer.geometry, len(layer.inputs) == 2
    cls = nn.Conv1d if one_dimension else nn.Conv2d
    own = cls(
        layer.inputs[-1 if one_dimension else 0],
        layer.channels,
        geometry.kernel,
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        geometry.groups,
        bias is not None,
    ).double()
    with torch.no_grad():
        own.weight.copy_(weight)
        if own.bias is not None and bias is not None:
            own.bias.copy_(bias)
    return own


@pytest.mark.parametrize(("inputs", "geometry"), product([(4, 9, 8), (9, 4)], GEOMETRIES))
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_torch(
    make_trial: Any, members_of: Any, normal: Any, inputs: tuple[int, ...], geometry: Geometry, bias: bool
) -> None:
    layer = ConvolutionLayer("c", inputs, 6, geometry, bias)
    stack = layer.module(members_of(layer, [make_trial()] * MEMBERS))
    examples = normal(MEMBERS, 5, *inputs).requires_grad_()
    outputs = stack(examples)
    assert outputs.shape[2:] == layer.shape
    weights = normal(*outputs.shape, seed=1)
    found = torch.autograd.grad((outputs * weights).sum(), [examples, *stack.parameters()])
    for member in range(MEMBERS):
        biases = None if stack.bias is None else stack.bias[member].detach()
        own = _torch(layer, stack.weight[member].detach(), biases)
        given = examples[member].detach().requires_grad_()
        expected = own(given) if len(inputs) == 3 else own(given.mT).mT
        torch.testing.assert_close(outputs[member], expected)
        gradients = torch.autograd.grad((expected * weights[member]).sum(), [given, *own.parameters()])
        for gradient, of_torch in zip(found, gradients, strict=True):
            torch.testing.assert_close(gradient[member], of_torch)


def test_the_gradient_is_that_of_differences(make_trial: Any, members_of: Any, normal: Any) -> None:
    layer = ConvolutionLayer("c", (2, 4, 4), 3, Geometry(3, 2, 1))
    stack = layer.module(members_of(layer, [make_trial()] * MEMBERS))
    assert torch.autograd.gradcheck(
        lambda x, *_: stack(x), (normal(2, 2, 2, 4, 4).requires_grad_(), *stack.parameters())
    )


def test_members_at_once_as_a_device_computes_them_are_those_in_turn(
    make_trial: Any, members_of: Any, normal: Any
) -> None:
    layer = ConvolutionLayer("c", (4, 6, 6), 6, Geometry(3, 1, 1, groups=2))
    stack = layer.module(members_of(layer, [make_trial()] * 3))
    from raydnn.nn.layers.pictures.folding import folded, unfolded

    examples = normal(3, 5, 4, 6, 6)
    fused = unfolded(stack._kernel(folded(examples), stack.weight.flatten(0, 1), stack.bias.flatten(), 3), 3)
    torch.testing.assert_close(fused, stack(examples))


@pytest.mark.parametrize("inputs", [(4, 9, 8), (9, 4)])
def test_kernels_are_weights_of_units_with_as_many_numbers_as_come_in(inputs: tuple[int, ...]) -> None:
    layer = ConvolutionLayer("c", inputs, 6, Geometry(3, groups=2))
    weight = layer.layout.parameters["c.weight"]
    own = _torch(layer, torch.zeros(weight.shape, dtype=torch.float64), torch.zeros(6, dtype=torch.float64))
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(own.weight)
    assert (weight.role, weight.shape, weight.fan_in) == (Role.WEIGHT, tuple(own.weight.shape), fan_in)
    # A number goes to the units of its own group alone, which torch does not take into account.
    assert weight.fan_out == fan_out // 2
    assert layer.layout.count == sum(p.numel() for p in own.parameters())


@pytest.mark.parametrize("position", ["before_activation", "after_activation"])
def test_the_tail_normalizes_and_activates_channels(
    make_trial: Any, members_of: Any, normal: Any, training: Any, position: str
) -> None:
    trials = [
        make_trial(activation="prelu", normalization={"name": "batch_norm", "position": position, "eps": eps})
        for eps in (1e-5, 1e-2)
    ]
    tail = tail_layer(trials[0], "c", (6, 9, 8))
    layer = ConvolutionLayer("c", (4, 9, 8), 6, Geometry(3, 1, 1), True, tail)
    stack = layer.module(members_of(layer, trials))
    running = stack.norm.mean.clone()
    examples = normal(MEMBERS, 5, 4, 9, 8)
    outputs = stack(examples, training(5))
    for member, eps in enumerate((1e-5, 1e-2)):
        norm, slopes = nn.BatchNorm2d(6, eps).double(), nn.PReLU(6).double()
        with torch.no_grad():
            norm.weight.copy_(stack.norm.scale[member])
            norm.bias.copy_(stack.norm.shift[member])
            norm.running_mean.copy_(running[member])
            slopes.weight.copy_(stack.alpha[member])
        own = _torch(layer, stack.weight[member].detach(), stack.bias[member].detach())
        after: list[Callable[[Tensor], Tensor]] = [norm, slopes]
        expected = own(examples[member])
        for step in after if position == "before_activation" else reversed(after):
            expected = step(expected)
        torch.testing.assert_close(outputs[member], expected)
        torch.testing.assert_close(stack.norm.mean[member], norm.running_mean)


def test_dropout_takes_whole_channels(make_trial: Any, members_of: Any, normal: Any, training: Any) -> None:
    trials = [make_trial(activation="linear", regularization={"dropout": 0.4}, seed=seed) for seed in (0, 1)]
    layer = ConvolutionLayer("c", (4, 5, 5), 64, Geometry(3), True, tail_layer(trials[0], "c", (64, 3, 3)))
    stack = layer.module(members_of(layer, trials))
    examples = normal(MEMBERS, 50, 4, 5, 5)
    ratio = (stack(examples, training(50)) / stack(examples)).flatten(3)
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio))
    kept = ratio[..., 0] > 0.5
    torch.testing.assert_close(ratio[..., 0][kept], torch.full_like(ratio[..., 0][kept], 1 / 0.6))
    assert kept.double().mean().item() == pytest.approx(0.6, abs=0.03)
