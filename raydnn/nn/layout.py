"""The layout of one member's parameters in the stack's flat parameter matrix."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a member's parameters, in the order in which they lie in its row of P numbers."""

    shapes: dict[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """Number P of parameters a member."""
        return sum(prod(shape) for shape in self.shapes.values())

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each parameter of all members as a view (N, *shape) of `flat` (N, P)."""
        views = {}
        start = 0
        for name, shape in self.shapes.items():
            stop = start + prod(shape)
            views[name] = flat[:, start:stop].view(flat.shape[0], *shape)
            start = stop
        return views
