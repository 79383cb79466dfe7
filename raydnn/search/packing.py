"""Packing trials into stacks: what can be trained at once, in portions of equal size.

Trials of equal shapes share every kernel. Those of other shapes may share a stack, too, where their models mix
(`Network.mixes`): its parts are trained in turn, one a shape, in one process, on one reading of the data, with one
commit and one state an epoch. The rule:

- Trials of a shape that are FEW or more have stacks of their own, as if there were no others.
- Portions of fewer are joined, with what fits into a stack, into the fewest stacks of at most FEW trials whose
  epochs are short: `raydnn.training.stack.parts.share_of_mixed` says how short.

What is saved is what a stack costs besides its steps: its start, an epoch's commit and its end. A stack of FEW has
little of that left, as one of long epochs has by itself, and larger ones would only leave slots without work. On
GPUs, where a part of few members leaves most of the device idle, shapes are not mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from math import ceil
from statistics import fmean
from typing import TypeVar

from raydnn.search.stages import SEARCH, Stage
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.trial import TrialSpec

T = TypeVar("T")

FEW = 8
"""Trials of a shape below which they do not get stacks of their own where shapes are mixed, and most trials of a mixed
stack; see tests/benchmarks, part `shapes`."""


@dataclass(frozen=True)
class StackPlan:
    """Trials that one process trains together."""

    number: int
    trials: tuple[tuple[int, TrialSpec], ...]
    """Number and configuration of each, equal shapes side by side, in them equal optimizers, and in these equal
    activations."""
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
    def shapes(self) -> tuple[Hashable, ...]:
        """Of its trials, each once; most stacks have one."""
        return tuple(dict.fromkeys(shape_of(trial) for _, trial in self.trials))

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
    share: Callable[[TrialSpec], float] | None = None,
) -> list[StackPlan]:
    """The stacks of a generation of a sweep.

    Args:
        trials: The generation's trials, in order.
        stage: How they are trained.
        most: Most trials of a stack.
        fits: Of trials of one shape, how many fit into memory at once; None: any number.
        first_stack: Number of the first stack.
        first: Number of the first trial.
        share: As `pack` has it.
    """
    return [
        StackPlan(
            first_stack + stack.number,
            tuple((first + number, trial) for number, trial in stack.trials),
            stage,
            first,
        )
        for stack in pack(trials, most, fits, stage.together, share)
    ]


def pack(
    trials: Sequence[TrialSpec],
    most: int,
    fits: Callable[[Sequence[TrialSpec]], int] | None = None,
    together: int = 1,
    share: Callable[[TrialSpec], float] | None = None,
) -> list[StackPlan]:
    """Group trials whose tensors have the same shapes and whose loops have the same steps.

    Args:
        trials: The trials, numbered by their position.
        most: Most trials of a stack.
        fits: Of trials of one shape, how many fit into memory at once; None: any number.
        together: Trials 0 to together − 1 share a stack, the next as many another one or the same, and so on; they
            have one shape. A stack holds at least so many, even if memory would fit fewer.
        share: Which share of a stack of several shapes a trial takes, where its model mixes; None: there are none.

    Returns:
        Stacks of near equal size within a group, those with the most to do first, so that all slots end at about
        the same time. They depend on nothing but the arguments, so that a sweep has the same stacks on every
        cluster and after a resume.
    """
    if most < 1:
        raise ValueError(f"a stack of at most {most} trials holds none")
    groups: dict[Hashable, Portion] = {}
    for number, trial in enumerate(trials):
        groups.setdefault(shape_of(trial), []).append((number, trial))
    portions: list[Portion] = []
    few: dict[Hashable, list[_Share]] = {}
    for group in groups.values():
        fit = most if fits is None else min(most, fits([trial for _, trial in group]))
        first = group[0][1]
        # Kernels are compiled for the members of a stack, and would be again when one ends.
        alone = first.train.compile
        fit = 1 if alone else fit
        for portion in _portions(group, fit, together):
            portion.sort(key=_order)
            if share is not None and not alone and first.model.mixes and len(portion) < FEW:
                of_stack = len(portion) * max(share(first), 1 / fit)
                few.setdefault(_loop_of(first), []).append(_Share(of_stack, portion))
            else:
                portions.append(portion)
    for shares in few.values():
        portions += _joined(shares, min(most, FEW))
    portions.sort(key=_work, reverse=True)
    return [StackPlan(number, tuple(portion)) for number, portion in enumerate(portions)]


Portion = list[tuple[int, TrialSpec]]
"""Trials that are to share a stack, with their numbers."""


@dataclass(frozen=True)
class _Share:
    """A portion of one shape, and which share of the most that a stack can hold it is."""

    of_stack: float
    portion: Portion


def shape_of(trial: TrialSpec) -> Hashable:
    """What all trials of a part share: the shapes of their tensors, and their loop."""
    return trial.model.graph, _loop_of(trial)


def _loop_of(trial: TrialSpec) -> Hashable:
    """What all trials of a stack share, whatever their models' shapes."""
    train = trial.train
    loss = loss_of(trial)
    return (
        trial.data,
        trial.normalization.graph,
        trial.activation.name == "prelu",  # its slopes are parameters of the network
        loss.name,
        loss.units(trial.data.learns, 0),
        train.batch_size,
        train.accumulate,
        train.precision,
        train.recompute,
        train.compile,
        train.epochs,
        train.checkpoint_every_epochs,
        train.test_time_flips,
    )


def by_shape(trials: Iterable[T], of: Callable[[T], TrialSpec]) -> list[list[T]]:
    """The neighbours of equal shape among the trials of a stack."""
    return [list(group) for _, group in groupby(trials, key=lambda each: shape_of(of(each)))]


def _joined(shares: Sequence[_Share], most: int) -> list[Portion]:
    """Join portions into few stacks of at most `most` trials that hold them, the largest share to the emptiest one."""
    total = max(sum(share.of_stack for share in shares), sum(len(share.portion) for share in shares) / most)
    ordered = sorted(shares, key=lambda share: share.of_stack, reverse=True)
    count = min(ceil(total), len(shares))
    while (joined := _spread(ordered, count, most)) is None:
        count += 1
    return joined


def _spread(shares: Sequence[_Share], count: int, most: int) -> list[Portion] | None:
    """Portions in a number of stacks; None where these do not hold them. As many stacks as portions hold them."""
    stacks: list[Portion] = [[] for _ in range(count)]
    full = [0.0] * count
    for share in shares:
        emptiest = min(range(count), key=full.__getitem__)
        taken = stacks[emptiest]
        if taken and (full[emptiest] + share.of_stack > 1 or len(taken) + len(share.portion) > most):
            return None
        taken += share.portion
        full[emptiest] += max(share.of_stack, len(share.portion) / most)
    return stacks


def balanced(n: int, most: int) -> list[int]:
    """The sizes of the fewest portions of at most `most` that n things fall into, at most one apart."""
    count = -(-n // most)
    edges = [n * portion // count for portion in range(count + 1)]
    return [end - start for start, end in pairwise(edges)]


def _portions(group: Portion, most: int, together: int) -> list[Portion]:
    """Cut a group into the fewest portions of at most `most`, their sizes at most `together` apart."""
    sizes = balanced(len(group) // together, max(1, most // together))
    edges = accumulate((together * size for size in sizes), initial=0)
    return [group[start:end] for start, end in pairwise(edges)]


def _work(portion: Portion) -> int:
    """What a stack's training costs, compared with others of the sweep: its trials' epochs by their hidden units."""
    return sum(trial.train.epochs * sum(trial.model.hidden_widths) for _, trial in portion)


def _order(member: tuple[int, TrialSpec]) -> tuple[str, str, int]:
    number, trial = member
    return trial.optimizer.name, trial.activation.name, number
