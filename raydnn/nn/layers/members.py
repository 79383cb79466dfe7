"""The N members for which layers are made: their trials, their numbers, and what several layers of theirs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from raydnn.nn.layers.dropout import Dropout
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.groups import MemberGroup, member_groups
from raydnn.stacking.layout import Layout

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Members:
    """N members of one network."""

    trials: Sequence[TrialSpec]
    layout: Layout
    """Of the whole network."""
    flat: Tensor
    """Their parameters (N, P); those of all modules are views of it."""
    flat_statistics: Tensor | None = None
    """Their running averages (N, S); None where nothing looks at them."""

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.flat.device

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """Each parameter, (N, *shape)."""
        return self.layout.views(self.flat)

    @cached_property
    def statistics(self) -> dict[str, Tensor]:
        """Each running average, (N, *shape)."""
        return {} if self.flat_statistics is None else self.layout.statistics_views(self.flat_statistics)

    @cached_property
    def activations(self) -> list[MemberGroup]:
        """Their activations."""
        return member_groups([trial.activation for trial in self.trials], self.device)

    @cached_property
    def dropout(self) -> Dropout:
        """What they drop."""
        return Dropout(self.trials, self.device)


def named_under(prefix: str, named: Mapping[str, T]) -> dict[str, T]:
    """What is named `PREFIX.x`, by x."""
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in named.items()
        if name.rpartition(".")[0] == prefix
    }
