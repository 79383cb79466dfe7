"""The training loop: there is one, for a single run (a stack of one) and for a sweep's stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raydnn.data.dataset import Dataset
from raydnn.optim.schedules import TrainingTime, learning_rates, momenta
from raydnn.spec.axes.optimizer import momentum_field
from raydnn.training.crossing import to_host
from raydnn.training.epoch import train_epoch
from raydnn.training.measures.evaluation import evaluate
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.steps.passes import Passes

EpochRow = dict[str, Any]
"""One member's row of the table `epochs`, without what the store adds."""


def train(
    stack: Stack,
    dataset: Dataset,
    first_epoch: int,
    before_last_step: Callable[[Tensor], None] | None = None,
) -> Iterator[tuple[int, list[EpochRow]]]:
    """Train a stack epoch by epoch for as long as it has members.

    The caller gets control after every epoch: it records the rows, and drops from the stack the members that end.

    Args:
        stack: The members; all of them have finished `first_epoch − 1` epochs.
        dataset: The data, on the stack's device.
        first_epoch: Absolute epoch to begin with, from 1.
        before_last_step: Called in every epoch, as `train_epoch` says.

    Yields:
        The epoch, and a row of `epochs` for each member in the stack's order.
    """
    epoch = first_epoch
    passes: Passes | None = None
    while stack.members:
        started = perf_counter()
        table = _table(stack.members, epoch, steps_per_epoch(stack, dataset))
        if passes is None or not passes.fit:
            passes = Passes(stack, dataset.train)
        measured = train_epoch(passes, epoch, torch.from_numpy(table), before_last_step)
        validation_loss, validation_accuracy = evaluate(stack, dataset.validation)
        columns = {
            "train_loss": measured.train_loss,
            "train_accuracy": measured.train_accuracy,
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "grad_norm": measured.grad_norm,
        }
        values = to_host({name: column for name, column in columns.items() if column is not None})
        for name in ("train_loss", "validation_loss"):
            values[name] = [loss * stack.loss_unit for loss in values[name]]
        seconds = (perf_counter() - started) / len(stack.members)
        rows = []
        for position, member in enumerate(stack.members):
            row: EpochRow = {name: column[position] for name, column in values.items()}
            if stack.loss_scale is not None:
                row["grad_norm"] = _none_if_nan(row["grad_norm"])
            for metric, past in member.history.items():
                if metric in row:
                    past.append(row[metric])
            member.grad_norm = row["grad_norm"]
            member.seconds += seconds
            rows.append(
                {
                    "trial_id": member.trial_id,
                    "epoch": epoch,
                    **row,
                    "lr": float(table[0, -1, position]),
                    "momentum": _none_if_nan(table[1, -1, position]),
                    "seconds": seconds,
                    "examples_per_second": len(dataset.train) / seconds,
                    "step": epoch * table.shape[1],
                }
            )
        stack.remember_best([p for p, m in enumerate(stack.members) if m.improves()])
        yield epoch, rows
        epoch += 1


def steps_per_epoch(stack: Stack, dataset: Dataset) -> int:
    """Number of steps that cover the training examples, the last one perhaps of fewer."""
    n = len(dataset.train)
    return -(-n // stack.members[0].spec.train.step_of(n))


def _table(members: Sequence[Member], epoch: int, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Every member's learning rate and momentum at every step of an epoch: (2, steps, N); NaN: it has none."""
    absolute = np.arange((epoch - 1) * steps, epoch * steps, dtype=np.float64)
    table = np.empty((2, steps, len(members)))
    for position, member in enumerate(members):
        spec = member.spec
        progress = TrainingTime(spec.optimizer.lr, steps, steps * spec.train.epochs, member.course)
        table[0, :, position] = learning_rates(spec.schedule, absolute, progress)
        field = momentum_field(type(spec.optimizer).model_fields)
        cycled = None if field is None else momenta(spec.schedule, absolute, progress)
        own = np.nan if field is None else getattr(spec.optimizer, field)
        table[1, :, position] = own if cycled is None else cycled
    return table


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
