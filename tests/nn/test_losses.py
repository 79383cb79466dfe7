"""Losses: values and gradients against torch and Keras' formulas, shared and own targets, extreme outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raydnn.errors import JobError, UserCodeError
from raydnn.nn import losses
from raydnn.nn.losses import GRADIENTS, LOSSES
from raydnn.spec.axes.loss import AUTO
from raydnn.spec.catalogue.kinds import components

MEMBERS, EXAMPLES, OUTPUTS = 4, 9, 5


def _numbers(outputs: Tensor, targets: Tensor) -> Tensor:
    return (
        targets if targets.is_floating_point() else torch.eye(outputs.shape[-1], dtype=outputs.dtype)[targets]
    )


def _labels(outputs: Tensor, targets: Tensor) -> Tensor:
    """Targets of one output or of several labels as (B, K)."""
    return targets if targets.is_floating_point() else targets.to(outputs.dtype).unsqueeze(-1)


def _rows(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss of torch against numbers, as the mean over the outputs."""
    return lambda z, y, **given: loss(z, _numbers(z, y), reduction="none", **given).mean(1)


def _cross_entropy(z: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    return functional.cross_entropy(z, y, reduction="none", label_smoothing=smoothing)


def _binary(z: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    y = _labels(z, y)
    y = y * (1 - smoothing) + smoothing / 2  # keras.losses.BinaryCrossentropy
    return -(y * functional.logsigmoid(z) + (1 - y) * functional.logsigmoid(-z)).mean(1)


def _others(z: Tensor, y: Tensor) -> Tensor:
    return torch.stack(
        [torch.cat([row[:k], row[k + 1 :]]).max() - row[k] for row, k in zip(z, y, strict=True)]
    )


def _focal(z: Tensor, y: Tensor, gamma: float, alpha: float) -> Tensor:
    if not y.is_floating_point() and z.shape[1] > 1:
        p = z.softmax(1)[torch.arange(len(y)), y]
        return -alpha * (1 - p) ** gamma * p.log()
    # torchvision.ops.sigmoid_focal_loss
    y = _labels(z, y)
    p = z.sigmoid()
    p_t = p * y + (1 - p) * (1 - y)
    crossed = functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    return ((alpha * y + (1 - alpha) * (1 - y)) * crossed * (1 - p_t) ** gamma).mean(1)


def _divergence(z: Tensor, y: Tensor) -> Tensor:
    return functional.kl_div(z.log_softmax(1), _numbers(z, y), reduction="none").sum(1)


def _perceptron(z: Tensor, y: Tensor) -> Tensor:
    if not y.is_floating_point() and z.shape[1] > 1:
        return _others(z, y).clamp(min=0)
    return (-(2 * _labels(z, y) - 1) * z).clamp(min=0).mean(1)


def _dice(z: Tensor, y: Tensor, smooth: float) -> Tensor:
    several = not y.is_floating_point() and z.shape[1] > 1
    p, y = (z.softmax(1), _numbers(z, y)) if several else (z.sigmoid(), _labels(z, y))
    return 1 - (2 * (p * y).sum(1) + smooth) / (p.sum(1) + y.sum(1) + smooth)


def _triplet(z: Tensor, y: Tensor, margin: float, embedding: float) -> Tensor:
    losses = []
    for a in range(len(z)):
        same = [b for b in range(len(z)) if y[b] == y[a] and b != a]
        other = [b for b in range(len(z)) if y[b] != y[a]]
        if same and other:
            p = max(same, key=lambda b: (z[a] - z[b]).norm().item())
            n = min(other, key=lambda b: (z[a] - z[b]).norm().item())
            losses.append(
                functional.triplet_margin_loss(z[a], z[p], z[n], margin=margin, eps=0.0, reduction="none")
            )
        else:
            losses.append(z.new_zeros(()))
    return torch.stack(losses)


REFERENCE: dict[str, Callable[..., Tensor]] = {
    "mse": _rows(functional.mse_loss),
    "mae": _rows(functional.l1_loss),
    "huber": _rows(functional.huber_loss),
    "log_cosh": lambda z, y: (z - _numbers(z, y)).cosh().log().mean(1),
    "cross_entropy": _cross_entropy,
    "categorical_cross_entropy": lambda z, y, **given: _cross_entropy(z, _numbers(z, y), **given),
    "binary_cross_entropy": _binary,
    "hinge": lambda z, y: functional.relu(1 - (2 * _labels(z, y) - 1) * z).mean(1),
    "categorical_hinge": lambda z, y: (1 + _others(z, y)).clamp(min=0),
    "focal": _focal,
    "kl_divergence": _divergence,
    "perceptron": _perceptron,
    "dice": _dice,
    "triplet": _triplet,
    "wasserstein": lambda z, y: ((1 - 2 * y.to(z.dtype)).unsqueeze(-1) * z).mean(1),
    "function": lambda z, y, path: z.square().sum(1),
}
"""Loss of one member: outputs (B, K) → (B,)."""

OWN = {"path": "my_losses:sum_of_squares"}
HUBER = ({"delta": 0.2}, {"delta": 1.0}, {"delta": 3.0}, {"delta": 20.0})
FOCAL = (
    {"gamma": 0.0, "alpha": 0.5},
    {"gamma": 0.5, "alpha": 0.25},
    *({"gamma": 2.0, "alpha": a} for a in (0.1, 0.9)),
)
DICE = ({"smooth": 1.0}, {"smooth": 0.1}, {"smooth": 1e-3}, {"smooth": 5.0})
TRIPLET = tuple({"margin": margin, "embedding": 5} for margin in (0.2, 1.0, 3.0, 0.5))
SMOOTH = ({"smoothing": 0.0}, {"smoothing": 0.1}, {"smoothing": 0.3}, {"smoothing": 0.9})
PLAIN: tuple[dict[str, Any], ...] = ({},) * MEMBERS

CASES: list[tuple[str, str, tuple[dict[str, Any], ...]]] = [
    *((name, kind, PLAIN) for name in ("mse", "mae", "log_cosh") for kind in ("classes", "values")),
    *(("huber", kind, HUBER) for kind in ("classes", "values")),
    ("cross_entropy", "classes", PLAIN),
    ("cross_entropy", "classes", SMOOTH),
    *(("categorical_cross_entropy", kind, how) for kind in ("classes", "shares") for how in (PLAIN, SMOOTH)),
    *(("binary_cross_entropy", kind, how) for kind in ("two", "labels") for how in (PLAIN, SMOOTH)),
    *(("hinge", kind, PLAIN) for kind in ("two", "labels")),
    ("categorical_hinge", "classes", PLAIN),
    *(("focal", kind, FOCAL) for kind in ("classes", "two", "labels")),
    *(("kl_divergence", kind, PLAIN) for kind in ("classes", "shares")),
    *(("perceptron", kind, PLAIN) for kind in ("classes", "two", "labels")),
    *(("dice", kind, DICE) for kind in ("classes", "two", "labels")),
    ("triplet", "classes", TRIPLET),
    ("wasserstein", "two", PLAIN),
    *(("function", kind, (OWN,) * MEMBERS) for kind in ("classes", "values")),
]
"""Loss, what its targets are, and the members' parameters."""

IDS = [f"{name}-{kind}{'-smooth' if how is SMOOTH else ''}" for name, kind, how in CASES]
ALL = pytest.mark.parametrize(("name", "kind", "how"), CASES, ids=IDS)


@pytest.fixture(autouse=True)
def _my_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "def sum_of_squares(outputs, targets):\n    return outputs.square().sum(1)\n"
    (tmp_path / "my_losses.py").write_text(code + "def mean(outputs, targets):\n    return outputs.mean()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_losses", raising=False)


def _targets(kind: str, *leading: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if kind in ("classes", "two"):
        return torch.randint(OUTPUTS if kind == "classes" else 2, leading, generator=generator)
    numbers = torch.randn(*leading, OUTPUTS, dtype=dtype, generator=generator)
    return {"values": numbers, "labels": (numbers > 0).to(dtype), "shares": (3 * numbers).softmax(-1)}[kind]


def _outputs(kind: str, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    width = 1 if kind == "two" else OUTPUTS
    return torch.randn(MEMBERS, EXAMPLES, width, dtype=dtype, generator=generator) * 3


def _stacked(name: str, how: tuple[dict[str, Any], ...], outputs: Tensor, targets: Tensor) -> Tensor:
    columns = {
        key: value
        if isinstance(value, str)
        else torch.tensor([[given[key]] for given in how], dtype=outputs.dtype)
        for key, value in how[0].items()
    }
    return LOSSES[name](outputs, targets, **columns)


def test_the_table_covers_every_loss() -> None:
    assert (
        set(REFERENCE) == {name for name, _, _ in CASES} == set(LOSSES) == set(components("loss")) - {"auto"}
    )
    assert {loss().name for loss in AUTO.values()} <= set(LOSSES)


@pytest.mark.parametrize("own", [False, True], ids=["shared targets", "own targets"])
@ALL
def test_values_and_gradients_are_the_references(name: str, kind: str, how: Any, own: bool) -> None:
    leading = (MEMBERS, EXAMPLES) if own else (EXAMPLES,)
    targets = _targets(kind, *leading, dtype=torch.float64)
    outputs = _outputs(kind, torch.float64).requires_grad_()
    found = _stacked(name, how, outputs, targets)
    (gradient,) = torch.autograd.grad(found.sum(), outputs)
    assert found.shape == (MEMBERS, EXAMPLES)
    for member in range(MEMBERS):
        alone = outputs.detach()[member].clone().requires_grad_()
        expected = REFERENCE[name](alone, targets[member] if own else targets, **how[member])
        (expected_gradient,) = torch.autograd.grad(expected.sum(), alone)
        torch.testing.assert_close(found[member], expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(gradient[member], expected_gradient, rtol=1e-7, atol=1e-8)


@ALL
def test_a_stack_is_its_members_alone(name: str, kind: str, how: Any) -> None:
    targets, outputs = _targets(kind, EXAMPLES), _outputs(kind)
    found = _stacked(name, how, outputs, targets)
    for k in range(MEMBERS):
        alone = _stacked(name, how[k : k + 1], outputs[k : k + 1], targets)
        # The last few numbers of a tensor go through other CPU instructions than the rest.
        torch.testing.assert_close(found[k : k + 1], alone, rtol=1e-6, atol=1e-6)


@ALL
def test_gradcheck(name: str, kind: str, how: Any) -> None:
    targets = _targets(kind, EXAMPLES, dtype=torch.float64)
    outputs = _outputs(kind, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda outputs: _stacked(name, how, outputs, targets), outputs)


@pytest.mark.parametrize("size", [0.0, 80.0, 1e4])
@ALL
def test_extreme_outputs_give_finite_losses_and_gradients(
    name: str, kind: str, how: Any, size: float
) -> None:
    outputs = (_outputs(kind).sign() * size).requires_grad_()
    losses = _stacked(name, how, outputs, _targets(kind, EXAMPLES))
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    assert losses.isfinite().all()
    assert gradient.isfinite().all()


@ALL
def test_a_broken_member_leaves_the_others_as_they_are(name: str, kind: str, how: Any) -> None:
    targets, outputs = _targets(kind, EXAMPLES), _outputs(kind)
    expected = _stacked(name, how, outputs, targets)
    broken = outputs.clone()
    broken[1] = float("nan")
    found = _stacked(name, how, broken, targets)
    assert torch.equal(found[[0, 2, 3]], expected[[0, 2, 3]])
    assert found[1].isnan().any()


def test_by_hand() -> None:
    outputs = torch.tensor([[[0.0, 0.0], [1e4, -1e4], [-1e4, 1e4]]])
    found = LOSSES["cross_entropy"](outputs, torch.tensor([1, 0, 0]))
    assert found[0].tolist() == pytest.approx([0.6931472, 0.0, 2e4])
    one = torch.tensor([[[-3.0], [0.5], [2.0]]])
    two = torch.tensor([1, 1, 1])
    assert LOSSES["hinge"](one, two)[0].tolist() == [4, 0.5, 0]
    assert LOSSES["perceptron"](one, two)[0].tolist() == [3, 0, 0]
    assert LOSSES["wasserstein"](one, two)[0].tolist() == [3, -0.5, -2]
    assert LOSSES["binary_cross_entropy"](one * 1e4, two)[0].tolist() == pytest.approx([3e4, 0, 0])
    huge = torch.tensor([[[1e4], [-1e4], [1e-3]]])
    nothing = torch.zeros(3, 1)
    assert LOSSES["log_cosh"](huge, nothing)[0].tolist() == pytest.approx(
        [9999.307, 9999.307, 5e-7], rel=1e-6, abs=1e-7
    )


def test_the_perceptron_rule() -> None:
    """θ ← θ + η y x for a wrong example, also from zero weights, and nothing for a right one."""
    weights = torch.zeros(1, 3, 1, requires_grad=True)
    by_rule = torch.zeros(3)
    examples = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    classes = (examples @ torch.tensor([1.0, -2.0, 0.5]) > 0).long()
    for x, y in zip(examples.repeat(25, 1), classes.repeat(25), strict=True):
        loss = LOSSES["perceptron"]((x.view(1, 1, 3) @ weights), y.view(1))
        (gradient,) = torch.autograd.grad(loss.sum(), weights)
        sign = 2 * y - 1
        if sign * (by_rule @ x) <= 0:
            by_rule = by_rule + 0.1 * sign * x
        weights = (weights - 0.1 * gradient).detach().requires_grad_()
    torch.testing.assert_close(weights.flatten().detach(), by_rule)
    assert torch.equal((examples @ by_rule > 0).long(), classes)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (
            "nowhere:loss",
            JobError,
            "loss.path: 'nowhere:loss' cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("my_losses:men", JobError, "'my_losses' has no function 'men'; it has .*mean.* Did you mean 'mean'"),
        (
            "my_losses:mean",
            UserCodeError,
            r"my_losses.py:3: loss.path: my_losses:mean gives "
            r"a tensor of shape \(\); a tensor with one loss an example, \(9,\), is needed",
        ),
    ],
)
def test_a_bad_function_is_said(path: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        LOSSES["function"](_outputs("values"), _targets("values", EXAMPLES), path=path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("smoothed", [False, True])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_by_hand_are_autograds(name: str, smoothed: bool, dtype: torch.dtype, own: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    # As a stack's outputs lie in memory: unit by unit.
    outputs = (3 * torch.randn(4, 7, 30, generator=rng)).to(dtype)
    outputs[:, :3, :10] = torch.tensor([0.0, 1e4, -1e4], dtype=dtype).unsqueeze(1)
    outputs[:, 1, 10] = 1e-30
    outputs = outputs.mT.requires_grad_()
    targets = torch.randint(7, (4, 30) if own else (30,), generator=rng)
    smoothing = torch.tensor([[0.0], [0.1], [0.5], [0.0]], dtype=dtype) if smoothed else None
    losses = LOSSES[name](outputs, targets, smoothing)
    (expected,) = torch.autograd.grad(losses.sum(), outputs)
    gradient = GRADIENTS[name](outputs.detach(), targets, smoothing)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(gradient, expected, rtol=tolerance, atol=tolerance)
    assert gradient.isfinite().all()
    if smoothing is not None:
        # A neighbour that smooths changes no bit of one that does not.
        assert torch.equal(gradient[0], GRADIENTS[name](outputs.detach(), targets)[0])


def test_a_broken_members_gradient_by_hand_leaves_the_others_as_they_are() -> None:
    outputs = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([0, 1, 2, 3, 0])
    for by_hand in GRADIENTS.values():
        expected = by_hand(outputs, targets)
        broken = outputs.clone()
        broken[1, 2] = torch.nan
        found = by_hand(broken, targets)
        assert torch.equal(found[[0, 2]], expected[[0, 2]])
        assert found[1].isnan().any()


@pytest.mark.parametrize("rows", [slice(None), slice(1, None, 2), slice(40, None)])
def test_a_triplet_is_sought_in_the_whole_set_block_by_block(
    monkeypatch: pytest.MonkeyPatch, rows: slice
) -> None:
    """Also where a worker has no example of it; one of the classes has a single example."""
    monkeypatch.setattr(losses, "BLOCK", 7)
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(2, 40, 5, generator=generator)
    targets = torch.randint(3, (40,), generator=generator)
    targets[11] = 3
    margin, embedding = torch.tensor([[0.2], [1.0]]), torch.tensor([[5.0], [5.0]])
    found = losses.triplet_of_set(outputs, targets, rows, margin, embedding)
    for member in range(2):
        expected = _triplet(outputs[member], targets, margin[member].item(), 5.0)
        torch.testing.assert_close(found[member], expected[rows])


def test_a_triplet_is_sought_where_a_worker_has_no_example() -> None:
    outputs = torch.empty(2, 0, 5, requires_grad=True)
    margin, embedding = torch.ones(2, 1), torch.full((2, 1), 5.0)
    found = losses.triplet(outputs, torch.empty(0, dtype=torch.long), margin, embedding)
    assert found.shape == (2, 0)
    found.sum().backward()
    assert outputs.grad is not None
