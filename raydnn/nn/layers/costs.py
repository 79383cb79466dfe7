"""What a layer costs an example and member: the numbers that memory, parts and plans are estimated from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isqrt


@dataclass(frozen=True)
class Costs:
    """Numbers and operations of one example of one member."""

    kept: int
    """Numbers that the forward pass of training keeps for the backward pass, with their gradients."""
    widest: int
    """Numbers that come out where most do, which evaluation and the backward pass hold a few times over."""
    activations: int
    """Numbers that weights make."""
    operations: int
    """Multiply-adds of a forward pass."""
    passing: int = 0
    """Numbers of the backward pass that are gone before it is over, beside those kept."""
    in_turn: bool = False
    """Whether members are computed one after another, so that what passes is there once for all of them."""


def in_all(layers: Iterable[Costs]) -> Costs:
    """The costs of several layers, one after another."""
    every = list(layers)
    return Costs(
        kept=sum(each.kept for each in every),
        widest=max(each.widest for each in every),
        activations=sum(each.activations for each in every),
        operations=sum(each.operations for each in every),
        passing=max(each.passing for each in every),
        in_turn=any(each.in_turn for each in every),
    )


def segments(layers: int) -> list[slice]:
    """Segments of ⌈√L⌉ neighbours of L layers; the last one may have fewer."""
    size = max(isqrt(max(layers - 1, 0)) + 1, 1)
    return [slice(start, min(start + size, layers)) for start in range(0, layers, size)]


def where_recomputed(layers: Sequence[Costs], numbers: Sequence[int]) -> Costs:
    """The costs of layers whose segments keep nothing but what goes from one to the next.

    Args:
        layers: Those of each layer.
        numbers: Numbers of an example that come out of each.
    """
    parts = segments(len(layers))
    between = sum(numbers[part.stop - 1] for part in parts[:-1])
    within = max(sum(each.kept for each in layers[part]) for part in parts)
    return replace(in_all(layers), kept=between + within)
