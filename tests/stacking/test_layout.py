"""Where a member's parameters lie: apart, each at a multiple of 16 numbers, with zeros between them for good."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.nn.layers.dense import dense_layout
from raydnn.optim.clipping import CLIPS, clip_gradients
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.optim.optimizers.stacked import StackOptimizer
from raydnn.optim.penalties import add_penalties, penalties
from raydnn.spec.axes.regularization import Regularization
from raydnn.spec.base import Component
from raydnn.spec.catalogue.kinds import components
from raydnn.stacking.groups import member_groups
from raydnn.stacking.layout import ALIGNMENT, Layout
from raydnn.stacking.roles import Parameter, Role

CPU = torch.device("cpu")
LAYOUT = (
    dense_layout("0", 5, 3)
    .followed_by(dense_layout("1", 3, 7))
    .followed_by(dense_layout("2", 7, 2, bias=False))
)
STEPS = 50

layouts = st.lists(
    st.tuples(
        st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple),
        st.sampled_from([Role.WEIGHT, Role.BIAS]),
    ),
    max_size=8,
).map(
    lambda parameters: Layout(
        {
            f"{number // 2}.{'wb'[number % 2]}": Parameter(shape, role, str(number // 2))
            for number, (shape, role) in enumerate(parameters)
        }
    )
)


@settings(max_examples=200, deadline=None)
@given(layout=layouts)
def test_every_parameter_begins_at_a_multiple_of_16_and_none_overlap(layout: Layout) -> None:
    found, shapes = layout.spans, layout.shapes
    assert list(found) == list(shapes) == [name for names in layout.layers.values() for name in names]
    assert ALIGNMENT == 16
    stop = 0
    for name, place in found.items():
        assert place.start % 16 == 0
        # Next to each other but for gaps that are as small as can be.
        assert stop <= place.start < stop + 16
        stop = place.stop
        assert stop - place.start == prod(shapes[name])
    assert stop <= layout.size < stop + 16
    assert layout.size % 16 == 0


@settings(max_examples=50, deadline=None)
@given(layout=layouts.filter(lambda layout: bool(layout.parameters)))
def test_norms_of_layers_and_masks_of_roles_leave_the_gaps_out(layout: Layout) -> None:
    row = torch.randn(2, layout.size, generator=torch.Generator().manual_seed(0))
    by_layer: dict[str, list[torch.Tensor]] = {}
    weights = layout.having(Role.WEIGHT)
    inside = layout.mask(Role.WEIGHT)
    for name, place in layout.spans.items():
        by_layer.setdefault(name.partition(".")[0], []).append(row[:, place])
        assert (inside[place] == (name in weights)).all()
    expected = torch.stack([torch.cat(own, dim=1).norm(dim=1) for own in by_layer.values()])
    torch.testing.assert_close(layout.layer_norms(row), expected)
    assert inside.sum() == sum(prod(weight.shape) for weight in weights.values())


def _members(name: str) -> list[Component]:
    """An optimizer as it is by default, and with everything that can be switched on."""
    spec = components("optimizer")[name]
    fields = spec.model_fields.keys()
    more = {
        "weight_decay": 0.1,
        "momentum": 0.9,
        "amsgrad": True,
        "centered": True,
        "initial_accumulator": 0.1,
    }
    given = {field: value for field, value in more.items() if field in fields}
    nesterov = {"nesterov": True} if "nesterov" in fields else {}
    return [spec(), spec(**given, **nesterov), spec(**given, **({"decay_bias": False}))]


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gaps_stay_zero_under_every_optimizer(name: str, clip: str) -> None:
    specs = _members(name)
    gap = torch.ones(LAYOUT.size, dtype=torch.bool)
    for place in LAYOUT.spans.values():
        gap[place] = False
    assert gap.sum() > 20
    rng = torch.Generator().manual_seed(0)
    parameters = torch.zeros(len(specs), LAYOUT.size)
    gradients = torch.zeros_like(parameters)
    for place in LAYOUT.spans.values():
        parameters[:, place] = torch.randn(parameters[:, place].shape, generator=rng)
    start = parameters.clone()
    clips = member_groups([components("clip")[clip]()] * len(specs), CPU)
    penalized = penalties([Regularization(l1=0.01, l2=0.01)] * len(specs), LAYOUT, CPU)
    optimizer = StackOptimizer(specs, LAYOUT, CPU, torch.float32)
    optimizer.plan(torch.full((STEPS, len(specs)), 0.01, dtype=torch.float64))
    for _ in range(STEPS):
        # The backward pass writes the parameters' gradients only; what an optimizer leaves in the gaps stays there.
        for place in LAYOUT.spans.values():
            gradients[:, place] = torch.randn(gradients[:, place].shape, generator=rng)
        add_penalties(penalized, parameters, gradients)
        clip_gradients(clips, gradients, LAYOUT)
        optimizer.step(parameters, gradients)
        assert not gradients[:, gap].any()
    assert not parameters[:, gap].any()
    assert (parameters != start)[:, ~gap].any(dim=1).all()
