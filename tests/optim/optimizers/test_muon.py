"""Muon's orthogonalization: what it does to singular values, and that a stack does not change it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raydnn.nn.layers.dense import dense_layout
from raydnn.nn.layers.normalization import norm_layout
from raydnn.optim.optimizers.muon import hidden_matrices, orthogonalized
from raydnn.optim.optimizers.stacked import StackOptimizer
from raydnn.spec.axes.optimizer import Muon
from raydnn.spec.base import Component
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role


@pytest.mark.parametrize("shape", [(8, 8), (20, 5), (5, 20)])
def test_muon_steps_along_nearly_orthogonal_matrices(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)) * 1e3
    found = orthogonalized(matrices)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    # In the basis of the singular vectors it is diagonal, with values around 1.
    inner = left.mT @ found @ right.mT
    diagonal = inner.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(inner, torch.diag_embed(diagonal), rtol=0, atol=1e-3)
    large = values > 0.02 * values.norm(dim=1, keepdim=True)
    assert ((diagonal > 0.5) & (diagonal < 1.3))[large].all()
    assert not orthogonalized(torch.zeros(1, *shape)).any()


def test_muon_is_torchs_in_bfloat16_up_to_its_rounding() -> None:
    gradient = torch.randn(30, 40, generator=torch.Generator().manual_seed(0))
    theirs = torch.optim._muon._zeropower_via_newtonschulz(
        gradient, (3.4445, -4.775, 2.0315), 5, 1e-7
    ).float()
    ours = orthogonalized(gradient.unsqueeze(0))[0]
    assert (theirs - ours).norm() / ours.norm() < 0.02


def test_all_matrices_but_the_output_layers_are_hidden() -> None:
    layout = dense_layout("0", 4, 8).followed_by(norm_layout("norm", 8, running=False))
    layout = layout.followed_by(dense_layout("1", 8, 8, bias=False)).followed_by(dense_layout("2", 8, 3))
    assert hidden_matrices(replace(layout, outputs=frozenset({"2.weight"}))) == {"0.weight", "1.weight"}
    assert hidden_matrices(replace(layout, outputs=frozenset({"0.weight"}))) == {"1.weight", "2.weight"}


def test_a_member_of_a_stack_takes_the_steps_it_takes_alone() -> None:
    layout = dense_layout("0", 64, 48).followed_by(dense_layout("1", 48, 80))
    layout = layout.followed_by(dense_layout("2", 80, 10, bias=False))
    size = layout.size
    rng = torch.Generator().manual_seed(1)
    specs: list[Component] = [Muon(), Muon(lr=0.1, nesterov=False), Muon(match_rms=True), Muon(momentum=0.5)]
    start, gradients = torch.randn(4, size, generator=rng), torch.randn(10, 4, size, generator=rng)
    lr = torch.tensor([[spec.lr for spec in specs if isinstance(spec, Muon)]] * 10, dtype=torch.float64)
    together, stack = start.clone(), StackOptimizer(specs, layout, torch.device("cpu"), torch.float32)
    stack.plan(lr)
    for step in range(10):
        stack.step(together, gradients[step].clone())
    for member, spec in enumerate(specs):
        alone = start[member : member + 1].clone()
        optimizer = StackOptimizer([spec], layout, torch.device("cpu"), torch.float32)
        optimizer.plan(lr[:, member : member + 1])
        for step in range(10):
            optimizer.step(alone, gradients[step, member : member + 1].clone())
        torch.testing.assert_close(alone[0], together[member], rtol=1e-5, atol=1e-6)


def test_kernels_are_matrices_with_a_row_for_each_output() -> None:
    found = []
    for shape in ((8, 3, 2, 2), (8, 12)):
        kernels = Layout({"0.weight": Parameter(shape, Role.WEIGHT, "0", 12, 8)})
        layout = kernels.followed_by(dense_layout("1", 8, 3, bias=False))
        rng = torch.Generator().manual_seed(2)
        parameters, gradients = torch.randn(2, 1, layout.size, generator=rng)
        stack = StackOptimizer([Muon(match_rms=True)], layout, torch.device("cpu"), torch.float32)
        stack.plan(torch.full((1, 1), 0.1, dtype=torch.float64))
        stack.step(parameters, gradients)
        found.append(parameters)
    assert torch.equal(*found)
