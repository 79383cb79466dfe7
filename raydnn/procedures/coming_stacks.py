"""Which stacks a job will train, generation by generation, as far as that is known before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, cycle, pairwise, repeat

from raydnn.search.algorithms.registry import configurations, propose
from raydnn.search.packing import StackPlan, stacks_of
from raydnn.search.planning import generation_sizes
from raydnn.search.rungs import hyperband_brackets
from raydnn.search.seeding import confirming
from raydnn.search.stages import seeded
from raydnn.space.space import Assignment, Space
from raydnn.spec.algorithm import Random
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import Job, SweepJob
from raydnn.spec.scheduler import Bohb, NoScheduler
from raydnn.spec.trial import TrialSpec, trial_of_job


def coming_stacks(
    job: Job,
    space: Space | None,
    fits: Callable[[Sequence[TrialSpec]], int] | None,
    share: Callable[[TrialSpec], float] | None,
    start: Sequence[Assignment],
) -> Iterator[list[StackPlan]]:
    """The stacks of each generation; trials that depend on results are drawn from the space instead.

    Args:
        job: What is to be run.
        space: What its trials are drawn from; None: it searches nothing.
        fits: As in `stacks_of`: how many trials fit into memory together.
        share: As in `stacks_of`: how much of a stack a trial of a shape of its own takes.
        start: Configurations that it begins with.

    Yields:
        A generation's stacks.
    """
    sweep = job.as_sweep()
    if space is None or sweep is None:
        yield [StackPlan(0, ((0, trial_of_job(job)),))]
        return
    yield from _stacks_of_sweep(sweep, space, fits, share, start)


def _stacks_of_sweep(
    job: SweepJob,
    space: Space,
    fits: Callable[[Sequence[TrialSpec]], int] | None,
    share: Callable[[TrialSpec], float] | None,
    start: Sequence[Assignment],
) -> Iterator[list[StackPlan]]:
    coming = configurations(space, job, start)
    first = coming.propose()
    sizes = [len(first)]
    trials = first
    if not coming.over:
        sizes = generation_sizes(coming.expected, _batches(job, len(first)))
        drawn = job.search.model_copy(update={"algorithm": Random(), "scheduler": NoScheduler()})
        trials = first + propose(space, job.model_copy(update={"search": drawn}), start)[len(first) :]
    edges = accumulate(sizes, initial=0)
    searching = replace(coming.stage, seeds=job.search.repeats)
    proposed = [(trials[begin:end], searching) for begin, end in pairwise(edges)]
    # Which ones are the best is not known; any stand for them.
    proposed.append((trials[: job.search.confirm], confirming(job.search)))
    stacks = begun = 0
    for of_generation, stage in proposed:
        members = seeded(of_generation, stage)
        packed = stacks_of(members, stage, job.search.stack, fits, stacks, begun, share)
        if packed:
            yield packed
        stacks, begun = stacks + len(packed), begun + len(members)


def _batches(job: SweepJob, first: int) -> Iterator[int]:
    """Trials that an algorithm that learns proposes at a time, of which `first` come first."""
    scheduler = job.search.scheduler
    if isinstance(scheduler, Bohb):
        brackets = hyperband_brackets(epochs_of(job), scheduler.eta)
        return cycle(bracket.trials for bracket in reversed(brackets))
    return chain([first], repeat(getattr(job.search.algorithm, "batch", first)))
