"""Clipping against torch.nn.utils, member by member."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from raydnn.nn.layers.dense import dense_layout
from raydnn.optim.clipping import CLIPS, clip_gradients
from raydnn.spec.axes.clip import NoClip, Norm, PerLayer, Value
from raydnn.stacking.groups import member_groups

CPU = torch.device("cpu")
SPECS = [
    Norm(max_grad_norm=0.1),
    Norm(max_grad_norm=5.0),
    NoClip(),
    Norm(max_grad_norm=1e6),
    NoClip(),
    Norm(),
    Value(max_grad=0.2),
    Value(max_grad=1e6),
    PerLayer(max_grad_norm=3.0),
    PerLayer(max_grad_norm=0.01),
]
LAYOUT = dense_layout("layers.0", 3, 5).followed_by(dense_layout("layers.1", 5, 5))
LAYERS = (32, 48)
"""Numbers of each layer in a row, gaps of zeros included."""


def _gradients() -> torch.Tensor:
    scales = torch.tensor([1.0, 3.0, 1e4, 1.0, 1e-4, 100.0, 1.0, 1.0, 1.0, 10.0]).unsqueeze(1)
    gradients = torch.zeros(len(SPECS), LAYOUT.size)
    rng = torch.Generator().manual_seed(0)
    for place in LAYOUT.spans.values():
        gradients[:, place] = torch.randn(gradients[:, place].shape, generator=rng) * scales
    return gradients


def test_the_table_covers_every_clip() -> None:
    assert {spec.name for spec in SPECS} == set(CLIPS)


@pytest.mark.parametrize("member", range(len(SPECS)))
def test_a_stack_of_clips_does_what_torch_does_to_each_member(member: int) -> None:
    gradients = _gradients()
    spec = SPECS[member]
    # A member's parameters come in several tensors; its norm is that of all of them.
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in LAYERS]
    for parameter, gradient in zip(parameters, gradients[member].split(LAYERS), strict=True):
        parameter.grad = gradient.clone()
    if isinstance(spec, Norm):
        clip_grad_norm_(parameters, spec.max_grad_norm)
    elif isinstance(spec, PerLayer):
        for parameter in parameters:
            clip_grad_norm_(parameter, spec.max_grad_norm)
    elif isinstance(spec, Value):
        clip_grad_value_(parameters, spec.max_grad)
    expected = torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None])
    clip_gradients(member_groups(SPECS, CPU), gradients, LAYOUT)
    torch.testing.assert_close(gradients[member], expected, rtol=1e-6, atol=0)


def test_a_gradient_below_the_threshold_and_a_zero_one_are_not_touched() -> None:
    layout = dense_layout("0", 3, 1)
    gradients = torch.zeros(6, layout.size)
    for place in layout.spans.values():
        gradients[::2, place] = 0.4
    expected = gradients.clone()
    specs = [Norm(), Norm(), Value(), Value(), PerLayer(), PerLayer()]
    clip_gradients(member_groups(specs, CPU), gradients, layout)
    assert torch.equal(gradients, expected)


def test_a_member_that_is_not_finite_leaves_the_others_as_they_are() -> None:
    gradients = _gradients()
    gradients[0] = float("inf")
    expected = _gradients()
    clip_gradients(member_groups(SPECS, CPU), expected, LAYOUT)
    clip_gradients(member_groups(SPECS, CPU), gradients, LAYOUT)
    assert torch.equal(gradients[1:], expected[1:])
