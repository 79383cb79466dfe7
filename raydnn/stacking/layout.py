"""The layout of one member's parameters, and of what it gathers in training, in the stack's flat matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from raydnn.stacking.roles import Parameter, Role

Shapes = Mapping[str, tuple[int, ...]]
"""Parameter (`layers.0.weight`) → its shape, in the order in which they lie in a member's row."""

ALIGNMENT = 16
"""Every parameter begins at a multiple of so many numbers, 64 bytes, and the gap before it holds zeros.

Matrix products may round differently at other addresses, and a member must not depend on its place in the stack.
"""


@dataclass(frozen=True)
class Layout:
    """A member's parameters, in the order in which they lie in its row of P numbers."""

    parameters: dict[str, Parameter]
    """Name (`layers.0.weight`) → what it is."""
    statistics: dict[str, Parameter] = field(default_factory=dict)
    """Name → what no gradient moves, as running averages, in a row of S numbers of their own."""
    outputs: frozenset[str] = frozenset()
    """Names of the weights whose products are the outputs of the network; none where it is no whole network's."""

    @property
    def shapes(self) -> Shapes:
        """Name → shape of each parameter."""
        return {name: parameter.shape for name, parameter in self.parameters.items()}

    @property
    def count(self) -> int:
        """Number of a member's parameters."""
        return sum(parameter.count for parameter in self.parameters.values())

    @cached_property
    def size(self) -> int:
        """Length P of a member's row of parameters, with its gaps."""
        return _row_size(self.parameters)

    @cached_property
    def statistics_size(self) -> int:
        """Length S of a member's row of running averages."""
        return _row_size(self.statistics)

    @cached_property
    def spans(self) -> dict[str, slice]:
        """Where each parameter lies in a member's row."""
        return _spans(self.parameters)

    @property
    def layers(self) -> dict[str, list[str]]:
        """Name of each layer → the names of its parameters."""
        found: dict[str, list[str]] = {}
        for name, parameter in self.parameters.items():
            found.setdefault(parameter.layer, []).append(name)
        return found

    def having(self, *roles: Role) -> dict[str, Parameter]:
        """The parameters that have one of these roles."""
        return {name: parameter for name, parameter in self.parameters.items() if parameter.role in roles}

    def mask(self, *roles: Role) -> Tensor:
        """For each of the P numbers whether it belongs to a parameter with one of these roles: bool, (P,)."""
        found = torch.zeros(self.size, dtype=torch.bool)
        for name in self.having(*roles):
            found[self.spans[name]] = True
        return found

    def layer_norms(self, flat: Tensor) -> Tensor:
        """The norm of every layer's part of `flat` (N, P), in the order of `layers`: (layers, N)."""
        spans = self.spans
        return torch.stack(
            [
                torch.stack([flat[:, spans[name]].norm(dim=1) for name in names]).norm(dim=0)
                for names in self.layers.values()
            ]
        )

    def followed_by(self, other: Layout) -> Layout:
        """This layout and then the other one's numbers."""
        return one_after_another([self, other])

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each parameter of all members as a view (N, *shape) of `flat` (N, P)."""
        return _views(self.parameters, self.spans, flat)

    def statistics_views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each running average of all members as a view (N, *shape) of `flat` (N, S)."""
        return _views(self.statistics, _spans(self.statistics), flat)


def one_after_another(layouts: Iterable[Layout]) -> Layout:
    """The layout of several ones' numbers, in their order."""
    parameters: dict[str, Parameter] = {}
    statistics: dict[str, Parameter] = {}
    for layout in layouts:
        parameters.update(layout.parameters)
        statistics.update(layout.statistics)
    return Layout(parameters, statistics)


def by_unit(values: Tensor, parameter: Parameter) -> Tensor:
    """A weight of n members unit by unit, as a view.

    Args:
        values: (n, *shape).
        parameter: What it is.

    Returns:
        (n, groups, units of a group, *what comes into a unit).
    """
    grouped = values.view(len(values), parameter.groups, -1, *parameter.shape[1:])
    return grouped.movedim(2 + parameter.unit_axis, 2)


def _spans(parameters: Mapping[str, Parameter]) -> dict[str, slice]:
    found = {}
    start = 0
    for name, parameter in parameters.items():
        found[name] = slice(start, start + parameter.count)
        start += _aligned(parameter.count)
    return found


def _row_size(parameters: Mapping[str, Parameter]) -> int:
    return sum(_aligned(parameter.count) for parameter in parameters.values())


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def _views(
    parameters: Mapping[str, Parameter], spans: Mapping[str, slice], flat: Tensor
) -> dict[str, Tensor]:
    return {name: flat[:, span].view(len(flat), *parameters[name].shape) for name, span in spans.items()}
