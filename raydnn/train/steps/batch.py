"""A batch of a stack: the examples at some rows, augmented and mixed as each member asks for."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from torch import Tensor

from raydnn.data.augmentation import mixup
from raydnn.data.augmentation.augment import Draws
from raydnn.data.dataset import Split
from raydnn.nn.losses import has_own
from raydnn.stacking.noise import Noise
from raydnn.train.stack.stack import Stack
from raydnn.train.workers import Workers


class Labels(NamedTuple):
    """What the outputs for some examples are compared with."""

    targets: Tensor
    weights: Tensor | None
    """Weights of the examples, or None."""


class Batch(NamedTuple):
    """A batch, or this worker's share of it."""

    inputs: Tensor
    """(1, B, *features), shared by all members, or (N, B, *features)."""
    labels: Labels
    partners: Labels | None
    """Those of the examples that mixup has mixed in, or None."""
    share: Tensor | None
    """Share of each batch's own examples, () or (N,); None without mixup."""
    size: int
    """Examples of the whole batch, over all workers."""


def make_batch(stack: Stack, split: Split, rows: Tensor, share: Tensor | None, noise: Noise) -> Batch:
    """Gather, augment and mix examples.

    Args:
        stack: The members.
        split: The training examples, on the stack's device; inputs (n, *features).
        rows: The whole batch's examples (B,), or (N, B) where the members' differ.
        share: The share of the batch's own examples, where a member mixes.
        noise: The epoch's noise.
    """
    workers = stack.workers
    size = rows.shape[-1]
    mine = rows[..., workers.rank :: workers.count]
    inputs = _inputs(stack, split, mine, noise, size)
    if share is None:
        return Batch(inputs, _labels(split, mine), None, None, size)
    others = mixup.partners(rows)[..., workers.rank :: workers.count]
    their_inputs = _inputs(stack, split, others, mixup.PartnerDraws(noise), size)
    inputs = mixup.mixed(share, inputs, their_inputs)
    return Batch(inputs, _labels(split, mine), _labels(split, others), share, size)


def in_pieces(batch: Batch, count: int, workers: Workers) -> Sequence[Batch]:
    """A batch, or this worker's share of it, as up to `count` smaller ones of the same examples."""
    if count == 1:
        return (batch,)
    # Whole rounds over the workers, so that each has the same examples as in the batch.
    rounds = ceil(batch.size / (count * workers.count))
    size = rounds * workers.count
    return [
        _piece(
            batch,
            slice(start // workers.count, start // workers.count + rounds),
            min(size, batch.size - start),
        )
        for start in range(0, batch.size, size)
    ]


def _piece(batch: Batch, rows: slice, size: int) -> Batch:
    partners = None if batch.partners is None else _of(batch.partners, rows)
    return Batch(batch.inputs[:, rows], _of(batch.labels, rows), partners, batch.share, size)


def _of(labels: Labels, rows: slice) -> Labels:
    targets = labels.targets[:, rows] if has_own(labels.targets) else labels.targets[rows]
    return Labels(targets, None if labels.weights is None else labels.weights[..., rows])


def _inputs(stack: Stack, split: Split, rows: Tensor, draws: Draws, size: int) -> Tensor:
    inputs = _at(split.inputs, rows)
    return stack.augmenter(inputs if rows.dim() == 2 else inputs.unsqueeze(0), draws, size)


def _labels(split: Split, rows: Tensor) -> Labels:
    return Labels(_at(split.targets, rows), None if split.weights is None else _at(split.weights, rows))


def _at(values: Tensor, rows: Tensor) -> Tensor:
    """The values (n, ...) at some rows; index_select is twice as fast as indexing."""
    if rows.dim() == 1:
        return values.index_select(0, rows)
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])
