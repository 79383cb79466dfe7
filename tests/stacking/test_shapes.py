"""Where a member's parameters lie: apart, each at a multiple of 16 numbers, with zeros between them for good."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.optim.clipping import CLIPS, clip_gradients
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.optim.optimizers.stacked import StackOptimizer
from raydnn.optim.penalties import add_penalties, penalties
from raydnn.spec.axes.regularization import Regularization
from raydnn.spec.base import Component
from raydnn.spec.catalogue.kinds import components
from raydnn.stacking.groups import member_groups
from raydnn.stacking.shapes import ALIGNMENT, in_matrices, layer_norms, layers, row_size, spans

CPU = torch.device("cpu")
SHAPES = {"0.weight": (3, 5), "0.bias": (3,), "1.weight": (7, 3), "1.bias": (7,), "2.weight": (2, 7)}
STEPS = 50

shapes_of = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=2).map(tuple), max_size=8).map(
    lambda shapes: {f"{number // 2}.{'wb'[number % 2]}": shape for number, shape in enumerate(shapes)}
)


@settings(max_examples=200, deadline=None)
@given(shapes=shapes_of)
def test_every_parameter_begins_at_a_multiple_of_16_and_none_overlap(
    shapes: dict[str, tuple[int, ...]],
) -> None:
    found = spans(shapes)
    assert list(found) == list(shapes)
    assert ALIGNMENT == 16
    stop = 0
    for name, place in found.items():
        assert place.start % 16 == 0
        # Next to each other but for gaps that are as small as can be.
        assert stop <= place.start < stop + 16
        stop = place.stop
        assert stop - place.start == prod(shapes[name])
    assert stop <= row_size(shapes) < stop + 16
    assert row_size(shapes) % 16 == 0
    assert sorted((p.start, p.stop) for own in layers(shapes).values() for p in own) == [
        (p.start, p.stop) for p in found.values()
    ]


@settings(max_examples=50, deadline=None)
@given(shapes=shapes_of.filter(bool))
def test_norms_of_layers_and_matrices_leave_the_gaps_out(shapes: dict[str, tuple[int, ...]]) -> None:
    row = torch.randn(2, row_size(shapes), generator=torch.Generator().manual_seed(0))
    by_layer: dict[str, list[torch.Tensor]] = {}
    inside = in_matrices(shapes, CPU)
    for name, place in spans(shapes).items():
        by_layer.setdefault(name.partition(".")[0], []).append(row[:, place])
        assert (inside[place] == (len(shapes[name]) == 2)).all()
    expected = torch.stack([torch.cat(own, dim=1).norm(dim=1) for own in by_layer.values()])
    torch.testing.assert_close(layer_norms(row, shapes), expected)
    assert inside.sum() == sum(prod(shape) for shape in shapes.values() if len(shape) == 2)


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
    gap = torch.ones(row_size(SHAPES), dtype=torch.bool)
    for place in spans(SHAPES).values():
        gap[place] = False
    assert gap.sum() > 20
    rng = torch.Generator().manual_seed(0)
    parameters = torch.zeros(len(specs), row_size(SHAPES))
    gradients = torch.zeros_like(parameters)
    for place in spans(SHAPES).values():
        parameters[:, place] = torch.randn(parameters[:, place].shape, generator=rng)
    start = parameters.clone()
    clips = member_groups([components("clip")[clip]()] * len(specs), CPU)
    penalized = penalties([Regularization(l1=0.01, l2=0.01)] * len(specs), SHAPES, CPU)
    optimizer = StackOptimizer(specs, SHAPES, CPU, torch.float32)
    optimizer.plan(torch.full((STEPS, len(specs)), 0.01, dtype=torch.float64))
    for _ in range(STEPS):
        # The backward pass writes the parameters' gradients only; what an optimizer leaves in the gaps stays there.
        for place in spans(SHAPES).values():
            gradients[:, place] = torch.randn(gradients[:, place].shape, generator=rng)
        add_penalties(penalized, parameters, gradients)
        clip_gradients(clips, gradients, SHAPES)
        optimizer.step(parameters, gradients)
        assert not gradients[:, gap].any()
    assert not parameters[:, gap].any()
    assert (parameters != start)[:, ~gap].any(dim=1).all()
