"""Losses: values and gradients against torch, shared and own targets, extreme outputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raydnn.nn.losses import LOSSES

MEMBERS, EXAMPLES, OUTPUTS = 4, 9, 5


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    if not targets.is_floating_point():
        targets = torch.eye(outputs.shape[-1], dtype=outputs.dtype)[targets]
    return functional.mse_loss(outputs, targets, reduction="none").mean(1)


TORCH: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": lambda outputs, targets: functional.cross_entropy(outputs, targets, reduction="none"),
    "mse": _mse,
}
"""Loss of one member: outputs (B, K) → (B,)."""

CASES = [("cross_entropy", "classes"), ("mse", "classes"), ("mse", "values")]


def _targets(kind: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if kind == "classes":
        return torch.randint(OUTPUTS, shape, generator=generator)
    return torch.randn(*shape, OUTPUTS, dtype=dtype, generator=generator)


def _outputs(dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(MEMBERS, EXAMPLES, OUTPUTS, dtype=dtype, generator=generator) * 3


def test_the_table_covers_every_loss() -> None:
    assert set(TORCH) == {name for name, _ in CASES} == set(LOSSES)


@pytest.mark.parametrize("own", [False, True], ids=["shared targets", "own targets"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_values_and_gradients_are_torchs(name: str, kind: str, own: bool) -> None:
    targets = _targets(kind, (MEMBERS, EXAMPLES) if own else (EXAMPLES,))
    outputs = _outputs().requires_grad_()
    found = LOSSES[name](outputs, targets)
    (gradient,) = torch.autograd.grad(found.sum(), outputs)
    assert found.shape == (MEMBERS, EXAMPLES)
    for member in range(MEMBERS):
        alone = outputs.detach()[member].clone().requires_grad_()
        expected = TORCH[name](alone, targets[member] if own else targets)
        (expected_gradient,) = torch.autograd.grad(expected.sum(), alone)
        torch.testing.assert_close(found[member], expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradient[member], expected_gradient, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gradcheck(name: str, kind: str) -> None:
    targets = _targets(kind, (EXAMPLES,), torch.float64)
    outputs = _outputs(torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda outputs: LOSSES[name](outputs, targets), outputs)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_extreme_outputs_give_finite_losses_and_gradients(name: str, kind: str) -> None:
    outputs = (_outputs().sign() * 1e4).requires_grad_()
    targets = _targets(kind, (EXAMPLES,))
    losses = LOSSES[name](outputs, targets)
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    assert losses.isfinite().all()
    assert gradient.isfinite().all()


def test_cross_entropy_by_hand() -> None:
    outputs = torch.tensor([[[0.0, 0.0], [1e4, -1e4], [-1e4, 1e4]]])
    found = LOSSES["cross_entropy"](outputs, torch.tensor([1, 0, 0]))
    assert found[0].tolist() == pytest.approx([0.6931472, 0.0, 2e4])


def test_a_broken_member_leaves_the_others_as_they_are() -> None:
    for name, kind in CASES:
        targets = _targets(kind, (EXAMPLES,))
        outputs = _outputs()
        expected = LOSSES[name](outputs, targets)
        broken = outputs.clone()
        broken[1] = float("nan")
        found = LOSSES[name](broken, targets)
        assert torch.equal(found[[0, 2, 3]], expected[[0, 2, 3]])
        assert found[1].isnan().all()
