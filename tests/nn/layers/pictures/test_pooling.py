"""Pooling and reshaping of pictures against torch.nn, and a residual block written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from raydnn.nn.layers.pictures.pooling import as_picture, flattening, global_average, pooling
from raydnn.nn.layers.pictures.residual import padded

INPUTS = (3, 9, 8)


@pytest.mark.parametrize(("kind", "cls"), [("max", nn.MaxPool2d), ("average", nn.AvgPool2d)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1)])
def test_pooling_is_that_of_torch(
    make_trial: Any, members_of: Any, normal: Any, kind: str, cls: Any, kernel: int, stride: int, padding: int
) -> None:
    layer = pooling("p", INPUTS, kind, kernel, stride, padding)
    examples = normal(2, 5, *INPUTS)
    outputs = layer.module(members_of(layer, [make_trial()] * 2))(examples)
    assert outputs.shape[2:] == layer.shape
    for member in range(2):
        torch.testing.assert_close(outputs[member], cls(kernel, stride, padding)(examples[member]))


def test_the_mean_of_a_channel(make_trial: Any, members_of: Any, normal: Any) -> None:
    layer = global_average("a", INPUTS)
    examples = normal(2, 5, *INPUTS)
    outputs = layer.module(members_of(layer, [make_trial()] * 2))(examples)
    torch.testing.assert_close(
        outputs, functional.adaptive_avg_pool2d(examples.flatten(0, 1), 1).view(2, 5, 3)
    )


def test_a_picture_without_channels_has_one_and_is_flattened_as_torch_does(
    make_trial: Any, members_of: Any, normal: Any
) -> None:
    first = as_picture("p", (9, 8))
    assert first.shape == (1, 9, 8)
    examples = normal(1, 5, 9, 8)
    picture = first.module(members_of(first, [make_trial()]))(examples)
    assert torch.equal(picture, examples[:, :, None])
    last = flattening("f", (3, 9, 8))
    pictures = normal(2, 5, 3, 9, 8).transpose(3, 4).contiguous().transpose(3, 4)
    rows = last.module(members_of(last, [make_trial()] * 2))(pictures)
    assert torch.equal(rows[1], nn.Flatten()(pictures[1]))


def test_a_padded_shortcut_takes_every_second_position_and_adds_channels_of_0(
    make_trial: Any, members_of: Any, normal: Any
) -> None:
    layer = padded("s", (3, 9, 8), (8, 5, 4))
    examples = normal(2, 5, 3, 9, 8)
    outputs = layer.module(members_of(layer, [make_trial()] * 2))(examples)
    assert outputs.shape == (2, 5, 8, 5, 4)
    assert torch.equal(outputs[:, :, 2:5], examples[..., ::2, ::2])
    assert not outputs[:, :, :2].any()
    assert not outputs[:, :, 5:].any()
