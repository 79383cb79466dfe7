"""A batch of a stack: the examples at some rows, augmented and mixed as each member asks for."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from torch import Tensor

from raydnn.data.augmentation import mixup
from raydnn.data.augmentation.mixing import SHARE, mixed_inputs
from raydnn.data.augmentation.technique import Draws
from raydnn.data.examples import Examples, Labels
from raydnn.nn.losses import has_own
from raydnn.stacking.noise import Noise
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers


class Batch(NamedTuple):
    """A batch, or this worker's share of it."""

    inputs: Tensor
    """(1, B, *features), shared by all members, or (N, B, *features)."""
    labels: Labels
    partners: Labels | None
    """Those of the examples that are mixed in, or None."""
    share: Tensor | None
    """Share of each batch's own examples, (1,) or (N,); None where nothing is mixed."""
    size: int
    """Examples of the whole batch, over all workers."""


def make_batch(stack: Stack, examples: Examples, rows: Tensor, mix: Tensor | None, noise: Noise) -> Batch:
    """Load, augment and mix examples.

    Args:
        stack: The members.
        examples: The training examples, on the stack's device.
        rows: The whole batch's examples (B,), or (N, B) where the members' differ.
        mix: How the batch is mixed, where a member mixes, (rows, 1 or N).
        noise: The epoch's noise.
    """
    workers = stack.workers
    size = rows.shape[-1]
    mine = rows[..., workers.rank :: workers.count]
    inputs, labels = _loaded(stack, examples, mine, noise, size)
    if mix is None:
        return Batch(inputs, _of_inputs(stack, inputs, labels), None, None, size)
    others = mixup.partners(rows)[..., workers.rank :: workers.count]
    their_inputs, their_labels = _loaded(stack, examples, others, mixup.PartnerDraws(noise), size)
    both = mixed_inputs(mix, inputs, their_inputs)
    learned, theirs = (_of_inputs(stack, both, each) for each in (labels, their_labels))
    return Batch(both, learned, theirs, mix[SHARE], size)


def _of_inputs(stack: Stack, inputs: Tensor, labels: Labels) -> Labels:
    """The labels of changed inputs (1 or N, B, *features): where these are learned, themselves."""
    if stack.task != "reconstruction":
        return labels
    rows = inputs.flatten(2)
    return Labels(rows[0] if len(rows) == 1 else rows, labels.weights)


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


def _loaded(stack: Stack, examples: Examples, rows: Tensor, draws: Draws, size: int) -> tuple[Tensor, Labels]:
    """Inputs (1 or N, B, *features), augmented, of the examples (B,) or (N, B), and their labels."""
    inputs, labels = examples.batch(rows)
    shared = rows.dim() == 1
    return stack.augmenter(inputs.unsqueeze(0) if shared else inputs, draws, size), labels
