"""The training loop: there is one, for a single run (a stack of one) and for a sweep's stacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from raydnn.data.dataset import Dataset, Split
from raydnn.optim.schedules import Progress, learning_rates
from raydnn.train.early_stopping import best_epoch
from raydnn.train.epoch import train_epoch
from raydnn.train.evaluation import evaluate
from raydnn.train.member import Member
from raydnn.train.stack import Stack

EpochRow = dict[str, Any]
"""One member's row of the table `epochs`, without what the store adds."""


def train(stack: Stack, dataset: Dataset, first_epoch: int) -> Iterator[tuple[int, list[EpochRow]]]:
    """Train a stack epoch by epoch for as long as it has members.

    The caller gets control after every epoch: it records the rows, and drops from the stack the members that end.

    Args:
        stack: The members; all of them have finished `first_epoch − 1` epochs.
        dataset: The data, flat and on the stack's device.
        first_epoch: Absolute epoch to begin with, from 1.

    Yields:
        The epoch, and a row of `epochs` for each member in the stack's order.
    """
    epoch = first_epoch
    while stack.members:
        started = perf_counter()
        rates = _learning_rates(stack.members, epoch, steps_per_epoch(stack, dataset))
        measured = train_epoch(stack, dataset.train, epoch, torch.from_numpy(rates).to(stack.device))
        validation_loss, validation_accuracy = evaluate(stack, dataset.validation)
        columns = {
            "train_loss": measured.train_loss,
            "train_accuracy": measured.train_accuracy,
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "grad_norm": measured.grad_norm,
        }
        values = {name: tensor.tolist() for name, tensor in columns.items() if tensor is not None}
        seconds = (perf_counter() - started) / len(stack.members)
        rows = []
        for position, member in enumerate(stack.members):
            row = {name: column[position] for name, column in values.items()}
            for metric, past in member.history.items():
                if metric in row:
                    past.append(row[metric])
            member.seconds += seconds
            rows.append(
                {
                    "trial_id": member.trial_id,
                    "epoch": epoch,
                    **row,
                    "lr": float(rates[-1, position]),
                    "momentum": _momentum(member),
                    "seconds": seconds,
                    "examples_per_second": len(dataset.train) / seconds,
                    "step": epoch * len(rates),
                }
            )
        stack.remember_best([p for p, m in enumerate(stack.members) if _improved(m)])
        yield epoch, rows
        epoch += 1


def steps_per_epoch(stack: Stack, dataset: Dataset) -> int:
    """Number of batches that cover the training examples, the last one perhaps smaller."""
    return -(-len(dataset.train) // stack.members[0].spec.train.batch_size)


def _learning_rates(
    members: Sequence[Member], epoch: int, steps: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Every member's learning rate at every step of an epoch: (steps, N)."""
    absolute = np.arange((epoch - 1) * steps, epoch * steps, dtype=np.float64)
    columns = []
    for member in members:
        spec = member.spec
        progress = Progress(spec.optimizer.lr, steps, steps * spec.train.epochs, member.history)
        columns.append(learning_rates(spec.schedule, absolute, progress))
    return np.stack(columns, axis=1)


def _momentum(member: Member) -> float:
    """Momentum, or its counterpart β₁ in the Adam family."""
    parameters = member.spec.optimizer.model_dump()
    value: float = parameters["momentum"] if "momentum" in parameters else parameters["beta1"]
    return value


def _improved(member: Member) -> bool:
    stopping = member.spec.train.early_stopping
    if stopping is None or not stopping.restore_best:
        return False
    values = member.history[stopping.monitor]
    return best_epoch(stopping, values) == len(values)


def flat(dataset: Dataset, device: torch.device) -> Dataset:
    """Put a data set on a device with every input as one row of features (n, F)."""
    moved = dataset.to(device)
    return replace(
        moved,
        train=_flat_split(moved.train),
        validation=_flat_split(moved.validation),
        test=None if moved.test is None else _flat_split(moved.test),
    )


def _flat_split(split: Split) -> Split:
    return replace(split, inputs=split.inputs.flatten(1))
