"""Runs: neighbours with one component, their parameters as vectors."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from raydnn.spec.axes.optimizer import Adam, AdamW, Sgd
from raydnn.stacking.groups import member_groups

CPU = torch.device("cpu")


def test_neighbours_share_a_run_and_their_values_are_exact() -> None:
    runs = member_groups([Sgd(lr=0.1), Sgd(lr=0.2, nesterov=True, momentum=0.9), Adam(), Sgd()], CPU)
    assert [(run.name, run.start, run.stop) for run in runs] == [("sgd", 0, 2), ("adam", 2, 3), ("sgd", 3, 4)]
    first = runs[0]
    assert first.vectors["lr"].dtype == torch.float64
    assert first.vectors["lr"].tolist() == [0.1, 0.2]
    assert first.vectors["nesterov"].dtype == torch.bool
    assert first.vectors["nesterov"].tolist() == [False, True]
    assert first.used == {"lr", "momentum", "nesterov", "decay_bias"}
    assert runs[2].used == {"lr", "decay_bias"}


@given(st.lists(st.sampled_from([Sgd(), Adam(), AdamW()]), max_size=20))
def test_runs_partition_the_stack_in_order(specs: list[Sgd | Adam | AdamW]) -> None:
    runs = member_groups(specs, CPU)
    stack = torch.arange(len(specs))
    covered = [position for run in runs for position in run.of(stack).tolist()]
    assert covered == list(range(len(specs)))
    assert all(specs[position].name == run.name for run in runs for position in range(run.start, run.stop))
    assert all(a.name != b.name for a, b in pairwise(runs))


def test_a_run_is_a_view() -> None:
    stack = torch.zeros(3, 2)
    member_groups([Sgd(), Adam(), Adam()], CPU)[1].of(stack).add_(1)
    assert stack.sum(dim=1).tolist() == [0, 2, 2]
