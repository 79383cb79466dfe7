"""A tape repeats what a function does with other numbers in the same places, and says what it cannot repeat."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raydnn.training.steps.tape import record

STREAM = torch.Generator()


def _in_place(x: Tensor) -> Tensor:
    return x.clone().mul_(2).add_(x[0]).clamp_(-1, 1)


def _views(x: Tensor) -> Tensor:
    upper, lower = x.mT.split(2, dim=-1)
    return torch.cat([upper.expand(3, 4, 2), lower.unsqueeze(0).expand(3, 4, 2)]).flatten(1)[:, 1:]


def _into(x: Tensor) -> Tensor:
    out = torch.empty(4, 4)
    torch.ge(x, 0.3, out=out)
    return torch.ops.aten.threshold_backward.grad_input(out, x, 0.1, grad_input=out)


def _normalized(x: Tensor) -> Tensor:
    """Batch norm of what is not dense: torch's kernel that is given its results reads it wrong."""
    strided = x.view(2, 2, 2, 2).transpose(0, 1)
    return functional.batch_norm(strided, torch.zeros(2), torch.ones(2), training=True)


def _by_autograd(x: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = (functional.mish(leaf) * torch.where(leaf > 0, leaf, 0.2)).softmax(dim=-1).square().sum()
    (gradient,) = torch.autograd.grad(y, leaf)
    return gradient


def _draws(x: Tensor) -> Tensor:
    return x + torch.rand(4, 4, generator=STREAM) * torch.randn(4, 4, generator=STREAM)


FUNCTIONS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x @ x + 1,
    lambda x: 1 - x,
    lambda x: torch.var_mean(x, dim=1, correction=0)[0],
    lambda x: x.max(dim=0).values + x.max(dim=0).indices,
    lambda x: x[torch.tensor([2, 0])],
    lambda x: x.index_select(0, torch.tensor([2, 0])),
    lambda x: x.gather(1, x.argmax(dim=1, keepdim=True)),
    lambda x: torch.zeros_like(x).scatter_(1, x.argmin(dim=1, keepdim=True), x),
    lambda x: torch.stack([x, x.double().sum(dim=0, dtype=torch.float64).float().expand(4, 4)]),
    lambda x: x.sum(dim=0, dtype=torch.float64) + x.mean(dim=1, dtype=torch.float64),
    lambda x: torch.full_like(x, 2, dtype=torch.int64) * torch.zeros(4, dtype=torch.float64) + x.cumsum(0),
    lambda x: functional.binary_cross_entropy_with_logits(x, (x > 0).float(), reduction="none"),
    lambda x: functional.group_norm(x.unsqueeze(0), 2),
    lambda x: torch.cdist(x, x * 2, compute_mode="donot_use_mm_for_euclid_dist"),
    lambda x: x.norm(dim=1, keepdim=True).clamp(max=1.0) * x.roll(1, dims=-1),
    lambda x: torch.lerp(x, x.sign(), 0.3).cumsum(dim=0),
    lambda x: torch.relu(x.mT) + functional.relu(x),
    _in_place,
    _views,
    _into,
    _normalized,
    _by_autograd,
    _draws,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_tape_repeats_a_function(function: Callable[[Tensor], Tensor]) -> None:
    rng = torch.Generator().manual_seed(0)
    x, found = torch.randn(4, 4, generator=rng), []
    first = x.clone()
    STREAM.manual_seed(1)
    result, replay = record(lambda: found.append(function(x)) or found[0])
    assert not isinstance(replay, str), replay
    assert result is found[0]
    recorded = found[0].clone()
    for _ in range(2):
        x.copy_(torch.randn(4, 4, generator=rng))
        assert replay() is result
    assert len(found) == 1, "the function itself is not called again"
    STREAM.manual_seed(1)
    assert torch.equal(recorded, function(first))
    # The streams have moved on as if it had been called.
    function(x)
    assert torch.equal(found[0], function(x))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x * float(x.sum()), "_local_scalar_dense"),
        (lambda x: x[x > 0], "aten.index"),
        (lambda x: (x > 0).nonzero(), "nonzero"),
        (lambda x: torch.masked_select(x, x > 0), "masked_select"),
        (lambda x: functional.dropout(x * 0, 0.5), "dropout|bernoulli"),
        (lambda x: x + torch.rand(4, 4) * 0, "aten.rand"),
    ],
)
def test_what_looks_at_values_is_not_repeated_but_has_run(
    function: Callable[[Tensor], Tensor], said: str
) -> None:
    x, found = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)), []
    _, obstacle = record(lambda: found.append(function(x)))
    assert isinstance(obstacle, str)
    assert re.search(said, obstacle)
    assert torch.equal(found[0], function(x))
