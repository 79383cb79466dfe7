"""Gradients by autograd: those that torch gives a module alone, put where they belong."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from raydnn.nn.gradients.by_autograd import ByAutograd
from raydnn.stacking.context import Context


class Sometimes(nn.Module):
    """One network; `spare` takes part where asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Parameter(torch.tensor([[2.0, -1.0]]))
        self.spare = nn.Parameter(torch.tensor([3.0]))
        self.spares = False

    def forward(self, inputs: Tensor, _context: Context) -> Tensor:
        outputs = inputs @ self.used.unsqueeze(-1)
        return outputs + self.spare if self.spares else outputs


class Squares:
    """The losses are the squared outputs."""

    told_by_outputs = True

    def losses(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(2).square()

    def gradient(self, _outputs: Tensor) -> Tensor | None:
        raise AssertionError("autograd asks for none")


INPUTS = torch.tensor([[[1.0, 2.0], [3.0, 5.0], [0.0, 4.0]]])


def test_gradients_are_those_of_the_formula_batch_by_batch() -> None:
    module = Sometimes()
    gradients = {name: torch.full_like(p, torch.nan) for name, p in module.named_parameters()}
    way = ByAutograd(module, gradients, nullcontext)
    scale = torch.full((1, 1, 1), 0.5)
    with torch.no_grad():
        outputs, losses = way.of_batch(INPUTS[:, :2], Context(), Squares(), scale, first=True, last=False)
        way.of_batch(INPUTS[:, 2:], Context(), Squares(), scale, first=False, last=True)
    assert outputs.tolist() == [[[0.0], [1.0]]]
    assert losses is not None
    assert losses.tolist() == [[0.0, 1.0]]
    # Σ scale · 2y·x with y = 0, 1, −4.
    assert gradients["used"].tolist() == [[0.0 + 3.0 + 0.0, 0.0 + 5.0 - 16.0]]
    assert gradients["spare"].tolist() == [0.0], "what takes no part has a gradient of 0"
    assert not outputs.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_parameter_that_no_longer_takes_part_keeps_no_old_gradient() -> None:
    module = Sometimes()
    gradients = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    way = ByAutograd(module, gradients, nullcontext)
    for spares, expected in ((True, 2 * (0 + 3 + 1 + 3 - 4 + 3)), (False, 0.0)):
        module.spares = spares
        way.of_batch(INPUTS, Context(), Squares(), torch.ones(1, 1, 1), first=True, last=True)
        assert gradients["spare"].item() == pytest.approx(expected)
