"""The dense layer: its own backward pass gives what autograd gives, bit for bit, and torch.nn.Linear's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raydnn.nn.dense import Dense


def _layer(members: int, fan_in: int, fan_out: int) -> Dense:
    torch.manual_seed(1)
    return Dense({"weight": torch.randn(members, fan_in, fan_out), "bias": torch.randn(members, fan_out)})


@pytest.mark.parametrize(
    ("members", "examples", "fan_in", "fan_out"), [(1, 32, 784, 300), (5, 7, 12, 3), (64, 1, 8, 8)]
)
@pytest.mark.parametrize("needs_input_gradient", [True, False])
def test_gradients_written_equal_autograds(
    members: int, examples: int, fan_in: int, fan_out: int, needs_input_gradient: bool
) -> None:
    layer = _layer(members, fan_in, fan_out)
    inputs = torch.randn(members, examples, fan_in, requires_grad=needs_input_gradient)
    of_outputs = torch.randn(members, examples, fan_out)
    plain = layer(inputs)
    wanted = [layer.weight, layer.bias, *([inputs] if needs_input_gradient else [])]
    expected = torch.autograd.grad(plain, wanted, of_outputs)

    flat = torch.full((members, fan_in * fan_out + fan_out), torch.nan)
    weight = flat[:, : fan_in * fan_out].view(members, fan_in, fan_out)
    bias = flat[:, fan_in * fan_out :]
    layer.write_gradients_to(weight, bias)
    written = layer(inputs)
    written.backward(of_outputs)
    assert torch.equal(written, plain)
    assert torch.equal(weight, expected[0])
    assert torch.equal(bias, expected[1])
    assert layer.weight.grad is None
    if needs_input_gradient:
        assert inputs.grad is not None
        assert torch.equal(inputs.grad, expected[2])


def test_a_member_equals_torchs_linear() -> None:
    layer = _layer(3, 6, 4)
    inputs = torch.randn(3, 5, 6)
    outputs: Tensor = layer(inputs)
    assert layer.bias is not None
    for member in range(3):
        linear = torch.nn.functional.linear(inputs[member], layer.weight[member].T, layer.bias[member])
        torch.testing.assert_close(outputs[member], linear)


def test_evaluation_leaves_the_gradients_alone() -> None:
    layer = _layer(2, 3, 4)
    weight, bias = torch.ones(2, 3, 4), torch.ones(2, 4)
    layer.write_gradients_to(weight, bias)
    with torch.no_grad():
        layer(torch.randn(2, 5, 3))
    assert bool((weight == 1).all())
    assert bool((bias == 1).all())
