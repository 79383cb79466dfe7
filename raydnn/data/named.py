"""Several inputs by name: how they lie side by side in one row of numbers, and are taken apart again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raydnn.errors import DataError

EXACT = 2**24
"""Up to it a float32 holds every whole number."""


@dataclass(frozen=True)
class NamedInput:
    """One of several inputs of a network."""

    name: str
    """An argument of the network's forward."""
    shape: tuple[int, ...]
    """Of an example; () where it is one number."""
    whole: tuple[int, int] | None = None
    """Of whole numbers, such as tokens, the smallest and the largest one; None: they are any numbers, as float32."""

    @property
    def count(self) -> int:
        """How many numbers an example has of it."""
        return prod(self.shape)

    @property
    def told(self) -> str:
        """Name and shape, for messages."""
        return f"{self.name} ({', '.join(['n', *map(str, self.shape)])})"


Named = tuple[NamedInput, ...]
"""In the order in which they lie in a row; none where a network has one input without a name."""


def told(named: Named) -> str:
    """All of them, for messages."""
    return ", ".join(one.told for one in named)


def packed(arrays: Mapping[str, NDArray[Any]], named: Named) -> NDArray[Any]:
    """Return arrays (n, *shape) by name as rows (n, numbers of all), in a type that holds what all of them hold.

    Raises:
        DataError: One is missing or not known, or has another shape, type or length than it should have.
    """
    odd = [one.name for one in named if one.name not in arrays] or arrays.keys() - {o.name for o in named}
    if odd:
        raise DataError(f"arrays {', '.join(map(str, arrays))} are given; needed are {told(named)}")
    n = len(arrays[named[0].name])
    for one in named:
        array = arrays[one.name]
        kinds = "fiub" if one.whole is None else "iu"
        if array.dtype.kind not in kinds or array.shape != (n, *one.shape):
            what = "numbers" if one.whole is None else "whole numbers"
            shape = (n, *one.shape)
            raise DataError(
                f"{one.name}: {array.dtype} of shape {array.shape} is given; {what} {shape} are needed"
            )
    return np.concatenate([arrays[one.name].reshape(n, one.count) for one in named], axis=1)


def split(rows: Tensor, named: Named) -> dict[str, Tensor]:
    """Return the inputs (..., *shape) in rows (..., numbers of all): float32, and int64 of whole numbers."""
    parts = torch.split(rows, [one.count for one in named], dim=-1)
    found = {}
    for one, part in zip(named, parts, strict=True):
        own = part.reshape(*rows.shape[:-1], *one.shape)
        found[one.name] = own.contiguous() if one.whole is None else own.long()
    return found


def numbers_of(named: Named) -> Tensor:
    """Which columns of rows hold any numbers (columns,), and not whole ones that stand for something."""
    return torch.tensor([one.whole is None for one in named for _ in range(one.count)])


def with_whole_numbers(rows: Tensor, named: Named) -> Tensor:
    """Return rows (..., examples, numbers of all) in which whole numbers are the smallest and the largest in turn."""
    filled = rows.clone()
    ends = accumulate(one.count for one in named)
    for one, end in zip(named, ends, strict=True):
        if one.whole is not None:
            for first, value in enumerate(one.whole):
                filled[..., first::2, end - one.count : end] = value
    return filled
