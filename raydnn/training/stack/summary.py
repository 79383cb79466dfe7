"""What will be trained, before it is: the model's layers, parameters and steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

from raydnn.data.dataset import Dataset
from raydnn.data.load import load_dataset
from raydnn.nn.imported import imported
from raydnn.nn.layers.layer import Row
from raydnn.nn.models.users.module import user_class
from raydnn.nn.models.users.module_roles import told_unknown
from raydnn.nn.models.users.user_class import told_strategy
from raydnn.nn.objective import class_weights
from raydnn.spec.axes.loss import Function
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.trial import TrialSpec
from raydnn.training.stack.footprint import disk_bytes
from raydnn.training.stack.stack import architecture_of

LEARNS_INPUTS = "the scaled inputs are learned; targets of the data, where there are any, are ignored"


@dataclass(frozen=True)
class Summary:
    """A trial's model and data in numbers."""

    layers: list[Row]
    """In the order in which they are computed."""
    strategy: str
    """How the members of a stack of it are computed, where that is not known beforehand; else empty."""
    parameters: int
    steps_per_epoch: int
    examples: dict[str, int]
    """Part of the data → number of its examples."""
    facts: dict[str, Any]
    """What a run keeps of the data."""
    told: list[str]
    """What a user should know of how it is trained, a line each."""
    disk_bytes: int
    """What its files take while it is trained."""


def summarize(trial: TrialSpec) -> Summary:
    """Read the data and lay out the model.

    Raises:
        DataError: The data is missing or damaged.
        JobError: The data and the job do not fit.
    """
    dataset = load_dataset(trial.data)
    outputs = loss_of(trial).units(dataset.task, dataset.outputs)
    check_loss(trial)
    architecture = architecture_of(trial, dataset)
    layout = architecture.layout
    users = user_class(trial, dataset.inputs, outputs)
    strategy = "" if users is None else told_strategy(users)
    scaled = [] if dataset.target_scale is None else [str(dataset.target_scale)]
    learned = [LEARNS_INPUTS] if dataset.task == "reconstruction" else []
    if dataset.class_counts is not None:
        class_weights(trial, dataset.class_counts)
    return Summary(
        architecture.rows(trial),
        strategy,
        layout.count,
        ceil(len(dataset.train) / trial.train.step_of(len(dataset.train))),
        dataset.examples,
        dataset.facts(),
        [*learned, *scaled, *unknown_roles([trial], dataset)],
        disk_bytes([trial], layout.count),
    )


def unknown_roles(trials: Iterable[TrialSpec], dataset: Dataset) -> list[str]:
    """What does not act on parameters of users' modules whose role is not known, a line for each such class."""
    lines = [
        told_unknown(trial.model.path, architecture_of(trial, dataset).layout.parameters)
        for trial in {trial.model: trial for trial in trials}.values()
        if isinstance(trial.model, UserModule)
    ]
    return [line for line in dict.fromkeys(lines) if line]


def check_loss(trial: TrialSpec) -> None:
    """Find a loss of the user's own, before anything is written; what it does when it is called is the run's affair.

    Args:
        trial: The trial; with a loss of another kind there is nothing to find.

    Raises:
        JobError: There is no such function.
        UserCodeError: Its module fails while it is imported.
    """
    loss = loss_of(trial)
    if isinstance(loss, Function):
        imported(loss.path, "loss.path", "function")
