"""The transposed convolution of several members against torch's own class."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from raydnn.nn.layers.layer import drawn_weight
from raydnn.nn.layers.pictures.convolution import Geometry
from raydnn.nn.layers.pictures.transposed import TransposedConvolution, TransposedConvolutionLayer
from raydnn.nn.models.users.module_roles import parameters_of
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec

GEOMETRIES = [
    (Geometry(3), (0, 0)),
    (Geometry(3, stride=2, padding=1), (1, 0)),
    (Geometry(2, stride=2), (0, 0)),
    (Geometry(3, stride=3, padding=2, dilation=2, groups=2), (2, 1)),
]


def _theirs(geometry: Geometry, added: tuple[int, int]) -> nn.ConvTranspose2d:
    g = geometry
    return nn.ConvTranspose2d(
        4, 6, g.kernel, g.stride, g.padding, output_padding=added, groups=g.groups, dilation=g.dilation
    ).double()


def _stacked(modules: list[nn.ConvTranspose2d], geometry: Geometry, added: tuple[int, int]) -> nn.Module:
    parameters = {
        name: torch.stack([module.get_parameter(name).detach() for module in modules])
        for name in ("weight", "bias")
    }
    return TransposedConvolution(parameters, geometry, added)


@pytest.mark.parametrize(("geometry", "added"), GEOMETRIES)
@pytest.mark.parametrize("members", [1, 3])
def test_values_and_gradients_are_those_of_torch(
    geometry: Geometry, added: tuple[int, int], members: int
) -> None:
    torch.manual_seed(0)
    theirs = [_theirs(geometry, added) for _ in range(members)]
    ours = _stacked(theirs, geometry, added)
    inputs = torch.randn(members, 5, 4, 7, 6, dtype=torch.float64)
    outputs = ours(inputs)
    layer = TransposedConvolutionLayer("up", (4, 7, 6), 6, geometry, added)
    assert outputs.shape == (members, 5, *layer.shape)
    outputs.square().sum().backward()
    for member, module in enumerate(theirs):
        expected = module(inputs[member])
        assert torch.allclose(outputs[member], expected)
        expected.square().sum().backward()
        for name in ("weight", "bias"):
            found, wanted = ours.get_parameter(name).grad, module.get_parameter(name).grad
            assert found is not None
            assert wanted is not None
            assert torch.allclose(found[member], wanted)


@pytest.mark.parametrize(("geometry", "added"), GEOMETRIES)
def test_its_gradient_is_that_of_finite_differences(geometry: Geometry, added: tuple[int, int]) -> None:
    torch.manual_seed(1)
    ours = _stacked([_theirs(geometry, added) for _ in range(2)], geometry, added)
    names = dict(ours.named_parameters())

    def compute(inputs: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(ours, dict(zip(names, parameters, strict=True)), (inputs,))

    inputs = torch.randn(2, 2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(compute, (inputs, *names.values()))


@pytest.mark.parametrize(("geometry", "added"), GEOMETRIES)
def test_it_says_of_its_parameters_what_is_read_off_torchs(
    geometry: Geometry, added: tuple[int, int]
) -> None:
    layer = TransposedConvolutionLayer("up", (4, 7, 6), 6, geometry, added)
    theirs = nn.Sequential()
    theirs.add_module("up", _theirs(geometry, added))
    assert layer.layout.parameters == parameters_of(theirs)


def test_a_drawn_weight_has_a_kernel_for_each_unit() -> None:
    trial = TrialSpec.from_training(
        Training.model_validate(
            {"data": "digits", "optimizer": "sgd", "init": {"name": "normal", "std": 0.5}}
        )
    )
    layer = TransposedConvolutionLayer("up", (40, 7, 6), 60, Geometry(3))
    weight = drawn_weight(trial, "up.weight", layer.layout.parameters["up.weight"])
    assert weight.shape == (40, 60, 3, 3)
    assert weight.std().item() == pytest.approx(0.5, rel=0.02)
