"""The layout of one member's parameters, and of what it gathers in training, in the stack's flat matrices."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a member's parameters, in the order in which they lie in its row of P numbers."""

    shapes: dict[str, tuple[int, ...]]
    statistics: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Names and shapes of the running averages, which no gradient moves, in a row of S numbers of their own."""

    @property
    def size(self) -> int:
        """Number P of parameters a member."""
        return sum(prod(shape) for shape in self.shapes.values())

    @property
    def statistics_size(self) -> int:
        """Number S of running averages a member."""
        return sum(prod(shape) for shape in self.statistics.values())

    def followed_by(self, other: Layout) -> Layout:
        """This layout and then the other one's numbers."""
        return Layout(self.shapes | other.shapes, self.statistics | other.statistics)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each parameter of all members as a view (N, *shape) of `flat` (N, P)."""
        return _views(self.shapes, flat)

    def statistics_views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each running average of all members as a view (N, *shape) of `flat` (N, S)."""
        return _views(self.statistics, flat)


def _views(shapes: dict[str, tuple[int, ...]], flat: Tensor) -> dict[str, Tensor]:
    views = {}
    start = 0
    for name, shape in shapes.items():
        stop = start + prod(shape)
        views[name] = flat[:, start:stop].view(flat.shape[0], *shape)
        start = stop
    return views
