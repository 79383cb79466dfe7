"""The shapes of a member's parameters, and where each lies in its row of P numbers."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
"""Parameter (`layers.0.weight`) → its shape, in the order in which they lie in a member's row."""

ALIGNMENT = 16
"""Every parameter begins at a multiple of so many numbers, 64 bytes, and the gap before it holds zeros.

Matrix products may round differently at other addresses, and a member must not depend on its place in the stack.
"""


def spans(shapes: Shapes) -> dict[str, slice]:
    """Where each parameter lies in a member's row."""
    found = {}
    start = 0
    for name, shape in shapes.items():
        found[name] = slice(start, start + prod(shape))
        start += _aligned(prod(shape))
    return found


def row_size(shapes: Shapes) -> int:
    """Length of a member's row, with its gaps."""
    return sum(_aligned(prod(shape)) for shape in shapes.values())


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def layers(shapes: Shapes) -> dict[str, list[slice]]:
    """Where the parameters of each layer lie, by its name: what its parameters' names have before the last dot."""
    found: dict[str, list[slice]] = {}
    for name, place in spans(shapes).items():
        found.setdefault(name.rpartition(".")[0], []).append(place)
    return found


def layer_norms(flat: Tensor, shapes: Shapes) -> Tensor:
    """The norm of every layer's part of `flat` (N, P), in the order of `layers`: (layers, N)."""
    return torch.stack(
        [
            torch.stack([flat[:, place].norm(dim=1) for place in own]).norm(dim=0)
            for own in layers(shapes).values()
        ]
    )


def in_matrices(shapes: Shapes, device: torch.device) -> Tensor:
    """For each of the P numbers whether it is part of a matrix, as no bias or normalization parameter is: (P,)."""
    matrix = torch.zeros(row_size(shapes), dtype=torch.bool)
    for name, place in spans(shapes).items():
        matrix[place] = len(shapes[name]) >= 2
    return matrix.to(device)
