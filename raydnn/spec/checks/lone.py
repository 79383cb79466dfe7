"""Batch norm over a batch of one example, which tells nothing of the input."""

from __future__ import annotations

from raydnn.spec.job import Training


def lone_example_warnings(trial: Training, examples: int) -> list[str]:
    """One line where batch norm meets a batch of one example; with several workers a batch is all their shares.

    Args:
        trial: A configuration.
        examples: Number of training examples.
    """
    size = min(trial.train.batch_of(examples), examples)
    if trial.normalization.name != "batch_norm" or (size > 1 and examples % size != 1):
        return []
    nothing = "over one example every activation is normalized to 0, whatever the input"
    if size == 1:
        return [
            f"normalization: batch_norm with a train.batch_size of 1: {nothing}; "
            "layer_norm needs no second example, or train.batch_size can be larger"
        ]
    return [
        f"normalization: batch_norm with a train.batch_size of {size}: the last batch of {examples:,} training "
        f"examples is a single one, and {nothing}; with another train.batch_size it is not"
    ]
