"""Groups: members of a stack that share a component lie side by side; a group is one such slice.

A stack of N members keeps every hyperparameter as a vector over members. Members with the same component
(optimizer, activation, ...) are neighbours, so a component acts on a view of the stack and copies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from raydnn.spec.base import Component


@dataclass(frozen=True)
class MemberGroup:
    """Neighbouring members `start:stop` with one component, and its parameters as vectors over them."""

    name: str
    start: int
    stop: int
    vectors: dict[str, Tensor]
    """Parameter → vector (stop − start,), float64 so that 1 − β loses nothing; booleans stay boolean."""
    used: frozenset[str]
    """Parameters that differ from zero in some member; the others can be skipped."""
    ones: frozenset[str]
    """Parameters that are 1 in every member, where nothing needs to be multiplied."""
    settings: dict[str, Any]
    """Parameters that are no numbers, such as a choice by name; equal in all members."""

    _columns: dict[tuple[int, torch.dtype, bool], dict[str, Tensor]] = field(default_factory=dict, repr=False)

    def columns(self, like: Tensor, ones: bool = True) -> dict[str, Tensor]:
        """The vectors, shaped (n, 1, ...) and in the precision to go with a tensor (n, ...); perhaps without `ones`."""
        kind = like.dim(), like.dtype, ones
        if kind not in self._columns:
            shape = (-1, *[1] * (like.dim() - 1))
            kept = {name: vector for name, vector in self.vectors.items() if ones or name not in self.ones}
            self._columns[kind] = {name: vector.to(like.dtype).view(shape) for name, vector in kept.items()}
        return self._columns[kind]

    def of(self, stacked: Tensor) -> Tensor:
        """This group's rows of a tensor with leading member dimension, as a view."""
        whole = stacked.shape[0] == self.stop - self.start
        return stacked if whole else stacked[self.start : self.stop]


def parts_of(groups: Sequence[MemberGroup], stacked: Tensor) -> Sequence[Tensor]:
    """Each group's rows of a tensor with leading member dimension, as views; one call for all of them."""
    if len(groups) == 1:
        return (stacked,)
    return torch.unsafe_split_with_sizes(stacked, [group.stop - group.start for group in groups])


def member_groups(components: Sequence[Component], device: torch.device) -> list[MemberGroup]:
    """Group neighbouring members with the same component, alike in what is no number.

    Args:
        components: One component a member, in the stack's order.
        device: Where the vectors are put.
    """
    groups: list[MemberGroup] = []
    start = 0
    for (name, settings), group in groupby(components, key=lambda c: (c.name, _settings(c))):
        specs = list(group)
        groups.append(_make_group(name, dict(settings), start, specs, device))
        start += len(specs)
    return groups


def _settings(component: Component) -> tuple[tuple[str, Any], ...]:
    """Names and values of the parameters that are no numbers."""
    return tuple(
        (field, value) for field, value in component if field != "name" and not isinstance(value, int | float)
    )


def _make_group(
    name: str, settings: dict[str, Any], start: int, specs: list[Component], device: torch.device
) -> MemberGroup:
    vectors: dict[str, Tensor] = {}
    used, ones = set(), set()
    for parameter in type(specs[0]).model_fields:
        if parameter == "name" or parameter in settings:
            continue
        values = [getattr(spec, parameter) for spec in specs]
        dtype = torch.bool if isinstance(values[0], bool) else torch.float64
        vectors[parameter] = torch.tensor(values, dtype=dtype, device=device)
        if any(values):
            used.add(parameter)
        if dtype is torch.float64 and all(value == 1 for value in values):
            ones.add(parameter)
    return MemberGroup(name, start, start + len(specs), vectors, frozenset(used), frozenset(ones), settings)
