"""Packing trials into stacks: what can be trained at once, in portions of equal size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from raydnn.spec.fitting import loss_of
from raydnn.spec.trial import TrialSpec


@dataclass(frozen=True)
class Stack:
    """Trials that one process trains together."""

    number: int
    trials: tuple[tuple[int, TrialSpec], ...]
    """Number and configuration of each, equal optimizers side by side, and equal activations within them."""


def pack(
    trials: Sequence[TrialSpec], most: int, fitting: Callable[[Sequence[TrialSpec]], int] | None = None
) -> list[Stack]:
    """Group trials whose tensors have the same shapes and whose loops have the same steps.

    Args:
        trials: The trials, numbered by their position.
        most: Most trials of a stack.
        fitting: Of trials of one shape, how many fit into memory at once; None: any number.

    Returns:
        Stacks of near equal size within a group, those with the most to do first, so that all slots end at about
        the same time. They depend on nothing but the arguments, so that a sweep has the same stacks on every
        cluster and after a resume.
    """
    if most < 1:
        raise ValueError(f"a stack of at most {most} trials holds none")
    groups: dict[Hashable, list[tuple[int, TrialSpec]]] = {}
    for number, trial in enumerate(trials):
        groups.setdefault(shape_of(trial), []).append((number, trial))
    portions = []
    for group in groups.values():
        fit = most if fitting is None else min(most, fitting([trial for _, trial in group]))
        portions += _portions(group, fit)
    portions.sort(key=_work, reverse=True)
    return [Stack(number, tuple(sorted(portion, key=_order))) for number, portion in enumerate(portions)]


def shape_of(trial: TrialSpec) -> Hashable:
    """What all trials of a stack share."""
    train = trial.train
    loss = loss_of(trial)
    return (
        trial.data,
        trial.model.graph,
        trial.normalization.graph,
        trial.activation.name == "prelu",  # its slopes are parameters of the network
        loss.name,
        loss.units(trial.data.task, 0),
        train.batch_size,
        train.accumulate,
        train.precision,
        train.epochs,
        train.checkpoint_every_epochs,
    )


def balanced(n: int, most: int) -> list[int]:
    """The sizes of the fewest portions of at most `most` that n things fall into, at most one apart."""
    count = -(-n // most)
    edges = [n * portion // count for portion in range(count + 1)]
    return [end - start for start, end in pairwise(edges)]


def _portions(group: list[tuple[int, TrialSpec]], most: int) -> list[list[tuple[int, TrialSpec]]]:
    """Cut a group into the fewest portions of at most `most`, their sizes at most one apart."""
    edges = accumulate(balanced(len(group), most), initial=0)
    return [group[start:end] for start, end in pairwise(edges)]


def _work(portion: list[tuple[int, TrialSpec]]) -> int:
    """What a stack's training costs, compared with others of the sweep: its trials' epochs by their hidden units."""
    trial = portion[0][1]
    return len(portion) * trial.train.epochs * sum(trial.model.hidden_widths)


def _order(member: tuple[int, TrialSpec]) -> tuple[str, str, int]:
    number, trial = member
    return trial.optimizer.name, trial.activation.name, number
