"""Convolutional networks against the same ones written in plain torch: outputs, parameters, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raydnn.data.inputs import Inputs
from raydnn.errors import JobError
from raydnn.nn.layers.pictures.convolution import Convolution
from raydnn.nn.models.architecture import Architecture
from raydnn.nn.models.registry import architecture
from raydnn.nn.models.unstacked import unstacked
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise


def _trial(model: Any, **fields: Any) -> TrialSpec:
    return TrialSpec.from_training(
        Training.model_validate({"data": "digits", "optimizer": "sgd", "model": model, **fields})
    )


def _one(trial: TrialSpec, shape: tuple[int, ...]) -> tuple[Architecture, nn.Module]:
    """The network and one member of it, whose norms have scales, shifts and averages that are not their first ones."""
    network = architecture(trial, Inputs(shape), 10)
    parameters, statistics = network.start(trial)
    generator = torch.Generator().manual_seed(0)
    parameters = parameters + 0.1 * torch.randn(parameters.shape, generator=generator)
    statistics = statistics + torch.rand(statistics.shape, generator=generator)
    return network, unstacked(network, parameters[None], trial, statistics[None])


class PlainCnn(nn.Module):
    """Stages of channels 4 and 6, two convolutions each, and a dense layer of 9 units."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        channels = (3, 4, 4, 6, 6)
        strides = (1, 2, 1, 2) if pooling == "stride" else (1,) * 4
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels[k], channels[k + 1], 3, strides[k], 1) for k in range(4)
        )
        self.layers = nn.ModuleList([nn.Linear(6 * 3 * 2, 9), nn.Linear(9, 10)])
        self.pools = {
            "max": functional.max_pool2d,
            "average": functional.avg_pool2d,
            "stride": lambda x, _: x,
        }
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        for number, convolution in enumerate(self.convolutions):
            x = torch.tanh(convolution(x))
            if number % 2:
                x = self.pools[self.pooling](x, 2)
        return self.layers[1](torch.tanh(self.layers[0](x.flatten(1))))


@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
def test_a_cnn_is_that_of_plain_torch(pooling: str) -> None:
    model = {"name": "cnn", "channels": [4, 6], "convolutions": 2, "pooling": pooling, "widths": [9]}
    shape = (3, 12, 8) if pooling != "stride" else (3, 11, 8)
    _, own = _one(_trial(model, activation="tanh"), shape)
    plain = PlainCnn(pooling)
    plain.load_state_dict(own.state_dict())
    examples = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(own(examples), plain(examples))


class PlainBlock(nn.Module):
    """He et al.'s block, with shortcut B where the shape changes."""

    def __init__(self, inputs: int, channels: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(inputs, channels, 3, stride, 1, bias=False),
                nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            ]
        )
        for convolution in self.convolutions:
            convolution.norm = nn.BatchNorm2d(channels)
        self.pad = channels - inputs if shortcut == "A" and inputs != channels else 0
        if inputs != channels and shortcut == "B":
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.convolutions
        skip = self.shortcut(x) if hasattr(self, "shortcut") else x
        if self.pad:
            skip = functional.pad(x[..., ::2, ::2], (0, 0, 0, 0, self.pad // 2, self.pad - self.pad // 2))
        return torch.relu(second.norm(second(torch.relu(first.norm(first(x))))) + skip)


class PlainResNet(nn.Module):
    """The CIFAR family's network of width 4."""

    def __init__(self, depth: int, shortcut: str, large: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 7, 2, 3, bias=False) if large else nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.stem.norm = nn.BatchNorm2d(4)
        self.large = large
        blocks, inputs = [], 4
        for channels in (4, 8, 16):
            for _ in range((depth - 2) // 6):
                blocks.append(PlainBlock(inputs, channels, 1 if channels == inputs else 2, shortcut))
                inputs = channels
        self.blocks = nn.ModuleList(blocks)
        self.layers = nn.ModuleList([nn.Linear(16, 10)])

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem.norm(self.stem(x)))
        if self.large:
            x = functional.max_pool2d(x, 3, 2, 1)
        for block in self.blocks:
            x = block(x)
        return self.layers[0](x.mean(dim=(2, 3)))


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("side", [16, 80])
def test_a_residual_network_is_that_of_plain_torch(shortcut: str, side: int) -> None:
    trial = _trial({"name": "resnet", "depth": 14, "width": 4, "shortcut": shortcut})
    _, own = _one(trial, (3, side, side))
    plain = PlainResNet(14, shortcut, large=side == 80).train(False)
    plain.load_state_dict(own.state_dict(), strict=False)
    assert set(plain.state_dict()) - set(own.state_dict()) == {
        name for name in plain.state_dict() if name.endswith("num_batches_tracked")
    }
    examples = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(own(examples), plain(examples), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_sizes_are_those_of_he_et_al(depth: int, millions: float) -> None:
    network = architecture(_trial({"name": "resnet", "depth": depth}), Inputs((3, 32, 32)), 10)
    assert network.layout.count / 1e6 == pytest.approx(millions, abs=0.035 if depth == 110 else 0.006)


def test_without_skips_it_is_the_plain_network_of_the_same_layers() -> None:
    plain = architecture(_trial({"name": "resnet", "skip": False}), Inputs((3, 32, 32)), 10)
    residual = architecture(_trial("resnet"), Inputs((3, 32, 32)), 10)
    assert plain.layout.shapes == residual.layout.shapes


def test_a_block_that_begins_as_the_identity() -> None:
    trial = _trial({"name": "resnet", "depth": 8, "width": 4, "zero_init_last_norm": True})
    network = architecture(trial, Inputs((3, 8, 8)), 10)
    views = network.layout.views(network.start(trial)[0][None])
    zeros = {name for name, view in views.items() if name.endswith("norm.scale") and not view.any()}
    assert zeros == {f"blocks.{k}.convolutions.1.norm.scale" for k in range(3)}


@pytest.mark.parametrize("model", ["cnn", "resnet"])
def test_inputs_are_dropped_in_training(model: str) -> None:
    trial = _trial(model, regularization={"input_dropout": 0.5}, normalization="none")
    network = architecture(trial, Inputs((1, 8, 8)), 10)
    stack = network.module(network.start(trial)[0][None], [trial])
    pictures, training = torch.ones(1, 40, 1, 8, 8), Context(Noise([0], 1, torch.device("cpu")), 40)
    seen: list[Tensor] = []
    first = next(module for module in stack.modules() if isinstance(module, Convolution))
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    stack(pictures, training)
    stack(pictures)
    dropped, whole = seen
    assert torch.equal(whole, pictures)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_its_normalization_is_batch_norm_unless_another_is_given() -> None:
    assert _trial("resnet").normalization.name == "batch_norm"
    assert _trial("resnet", normalization="none").normalization.name == "none"
    assert _trial("cnn").normalization.name == "none"


@pytest.mark.parametrize(
    ("model", "shape", "told"),
    [
        ("cnn", (30,), "model: cnn with examples of shape 30; needed: pictures, (H, W) or (C, H, W)"),
        ("resnet", (2, 3, 4, 5), "model: resnet with examples of shape 2 × 3 × 4 × 5"),
        (
            {"name": "cnn", "channels": [4, 4, 4]},
            (3, 7, 9),
            "model.channels: 3 stages with pictures of 7 × 9",
        ),
    ],
)
def test_what_is_no_picture_or_too_small_is_told_in_a_line(
    model: Any, shape: tuple[int, ...], told: str
) -> None:
    with pytest.raises(JobError) as raised:
        architecture(_trial(model), Inputs(shape), 10)
    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)
