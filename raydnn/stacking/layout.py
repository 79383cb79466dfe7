"""The layout of one member's parameters, and of what it gathers in training, in the stack's flat matrices."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from torch import Tensor

from raydnn.stacking.shapes import Shapes, row_size, spans


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a member's parameters, in the order in which they lie in its row of P numbers."""

    shapes: dict[str, tuple[int, ...]]
    statistics: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Names and shapes of the running averages, which no gradient moves, in a row of S numbers of their own."""

    @property
    def count(self) -> int:
        """Number of a member's parameters."""
        return sum(prod(shape) for shape in self.shapes.values())

    @property
    def size(self) -> int:
        """Length P of a member's row of parameters."""
        return row_size(self.shapes)

    @property
    def statistics_size(self) -> int:
        """Length S of a member's row of running averages."""
        return row_size(self.statistics)

    def followed_by(self, other: Layout) -> Layout:
        """This layout and then the other one's numbers."""
        return Layout(self.shapes | other.shapes, self.statistics | other.statistics)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each parameter of all members as a view (N, *shape) of `flat` (N, P)."""
        return _views(self.shapes, flat)

    def statistics_views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each running average of all members as a view (N, *shape) of `flat` (N, S)."""
        return _views(self.statistics, flat)


def _views(shapes: Shapes, flat: Tensor) -> dict[str, Tensor]:
    return {name: flat[:, place].view(len(flat), *shapes[name]) for name, place in spans(shapes).items()}
