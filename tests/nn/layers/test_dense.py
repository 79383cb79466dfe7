"""The dense layer: its gradients by hand are autograd's, and its numbers those of torch.nn.Linear."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raydnn.nn.layers.dense import Dense, Destination


def _layer(members: int, fan_in: int, fan_out: int, biased: bool = True) -> Dense:
    torch.manual_seed(1)
    parameters = {"weight": torch.randn(members, fan_out, fan_in), "bias": torch.randn(members, fan_out)}
    return Dense(parameters if biased else {"weight": parameters["weight"]})


@pytest.mark.parametrize(
    ("members", "examples", "fan_in", "fan_out"), [(1, 32, 784, 300), (5, 7, 12, 3), (64, 1, 8, 8)]
)
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("biased", [True, False])
def test_gradients_by_hand_equal_autograds(
    members: int, examples: int, fan_in: int, fan_out: int, add: bool, biased: bool
) -> None:
    layer = _layer(members, fan_in, fan_out, biased)
    inputs = torch.randn(members, examples, fan_in, requires_grad=True)
    of_outputs = torch.randn(members, examples, fan_out)
    expected = torch.autograd.grad(layer(inputs), [inputs, *layer.parameters()], of_outputs)

    # Views of rows that are longer, as a stack's are; what is there is replaced, whatever it is, or added to.
    size = fan_in * fan_out
    flat = torch.full((members, size + fan_out + 3), 1.0 if add else torch.nan)
    weight, bias = flat[:, :size].view(members, fan_out, fan_in), flat[:, size : size + fan_out]
    with torch.no_grad():
        destinations = {
            name: [Destination(view, None, False)] for name, view in (("weight", weight), ("bias", bias))
        }
        layer.backward(inputs.mT, of_outputs.mT, destinations, add)
        torch.testing.assert_close(layer.of_inputs(of_outputs.mT).mT, expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weight - float(add), expected[1], rtol=1e-5, atol=1e-5)
    if biased:
        torch.testing.assert_close(bias - float(add), expected[2], rtol=1e-5, atol=1e-5)
    rest = flat[:, size + fan_out * biased :]
    assert (rest == 1).all() if add else rest.isnan().all()


def test_a_member_equals_torchs_linear() -> None:
    layer = _layer(3, 6, 4)
    inputs = torch.randn(3, 5, 6)
    outputs: Tensor = layer(inputs)
    assert layer.bias is not None
    for member in range(3):
        linear = torch.nn.functional.linear(inputs[member], layer.weight[member], layer.bias[member])
        torch.testing.assert_close(outputs[member], linear)
