"""Packing trials into stacks: what can be trained at once, in portions of equal size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean

from raydnn.search.stages import SEARCH, Stage
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.trial import TrialSpec


@dataclass(frozen=True)
class StackPlan:
    """Trials that one process trains together."""

    number: int
    trials: tuple[tuple[int, TrialSpec], ...]
    """Number and configuration of each, equal optimizers side by side, and equal activations within them."""
    stage: Stage = SEARCH
    """How they are trained."""
    first: int = 0
    """Number of the first trial of its generation."""

    def repeat(self, number: int) -> int:
        """How many seeds of a trial's configuration come before its own."""
        return self.stage.offset + (number - self.first) % self.stage.seeds

    def leader(self, number: int) -> int:
        """The first of the trials of the same configuration and stage; a scheduler knows them all by its number."""
        return number - (number - self.first) % self.stage.seeds

    @property
    def leaders(self) -> list[int]:
        """What a scheduler judges, in the order of the trials; nothing where none is asked."""
        every = (self.leader(number) for number, _ in self.trials if self.stage.judged)
        return list(dict.fromkeys(every))

    def means(self, values: Mapping[int, float]) -> dict[int, float]:
        """Leader → mean over those of its trials that have a value, whatever their order."""
        of_leader: dict[int, list[float]] = {}
        for number, value in values.items():
            of_leader.setdefault(self.leader(number), []).append(value)
        return {leader: fmean(own) for leader, own in of_leader.items()}


def stacks_of(
    trials: Sequence[TrialSpec],
    stage: Stage,
    most: int,
    fits: Callable[[Sequence[TrialSpec]], int] | None,
    first_stack: int,
    first: int,
) -> list[StackPlan]:
    """The stacks of a generation of a sweep.

    Args:
        trials: The generation's trials, in order.
        stage: How they are trained.
        most: Most trials of a stack.
        fits: Of trials of one shape, how many fit into memory at once; None: any number.
        first_stack: Number of the first stack.
        first: Number of the first trial.
    """
    return [
        StackPlan(
            first_stack + stack.number,
            tuple((first + number, trial) for number, trial in stack.trials),
            stage,
            first,
        )
        for stack in pack(trials, most, fits, stage.together)
    ]


def pack(
    trials: Sequence[TrialSpec],
    most: int,
    fits: Callable[[Sequence[TrialSpec]], int] | None = None,
    together: int = 1,
) -> list[StackPlan]:
    """Group trials whose tensors have the same shapes and whose loops have the same steps.

    Args:
        trials: The trials, numbered by their position.
        most: Most trials of a stack.
        fits: Of trials of one shape, how many fit into memory at once; None: any number.
        together: Trials 0 to together − 1 share a stack, the next as many another one or the same, and so on; they
            have one shape. A stack holds at least so many, even if memory would fit fewer.

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
        fit = most if fits is None else min(most, fits([trial for _, trial in group]))
        portions += _portions(group, fit, together)
    portions.sort(key=_work, reverse=True)
    return [StackPlan(number, tuple(sorted(portion, key=_order))) for number, portion in enumerate(portions)]


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
        loss.units(trial.data.learns, 0),
        train.batch_size,
        train.accumulate,
        train.precision,
        train.recompute,
        train.epochs,
        train.checkpoint_every_epochs,
        train.test_time_flips,
    )


def balanced(n: int, most: int) -> list[int]:
    """The sizes of the fewest portions of at most `most` that n things fall into, at most one apart."""
    count = -(-n // most)
    edges = [n * portion // count for portion in range(count + 1)]
    return [end - start for start, end in pairwise(edges)]


def _portions(
    group: list[tuple[int, TrialSpec]], most: int, together: int
) -> list[list[tuple[int, TrialSpec]]]:
    """Cut a group into the fewest portions of at most `most`, their sizes at most `together` apart."""
    sizes = balanced(len(group) // together, max(1, most // together))
    edges = accumulate((together * size for size in sizes), initial=0)
    return [group[start:end] for start, end in pairwise(edges)]


def _work(portion: list[tuple[int, TrialSpec]]) -> int:
    """What a stack's training costs, compared with others of the sweep: its trials' epochs by their hidden units."""
    trial = portion[0][1]
    return len(portion) * trial.train.epochs * sum(trial.model.hidden_widths)


def _order(member: tuple[int, TrialSpec]) -> tuple[str, str, int]:
    number, trial = member
    return trial.optimizer.name, trial.activation.name, number
