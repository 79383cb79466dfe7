"""Trials that differ: where a draw repeats a configuration, another is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from raydnn.search.history import History
from raydnn.space.space import Assignment, Space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec

BARREN = 10
"""How many trials in a row may find nothing new in a continuous space before no more are looked for."""


def distinct(
    space: Space, job: Job, draws: Iterable[Iterable[Assignment]], known: History
) -> Iterator[TrialSpec]:
    """One trial after the other, each with a configuration that is not known.

    `auto` and the component it stands for are one configuration.

    Args:
        space: The space.
        job: The job whose values hold where nothing is searched.
        draws: For each trial, assignments in the order in which they are tried; where all are known, a finite
            space's unused configurations are taken in order, and when none is left, there are no more trials.
        known: What was tried before; looked at whenever a trial is asked for, so that the taken ones can be noted.
    """
    unused = _every(space, job)
    barren = 0
    for assignments in draws:
        tried = chain((make_trial(job, assignment) for assignment in assignments), unused)
        trial = next((trial for trial in tried if trial not in known), None)
        if trial is not None:
            barren = 0
            yield trial
        else:
            barren += 1
            if barren == BARREN or space.size() is not None:
                return


def _every(space: Space, job: Job) -> Iterator[TrialSpec]:
    """Every trial of a finite space, made only when asked for; nothing of a continuous one."""
    if space.size() is not None:
        for assignment in space.grid():
            yield make_trial(job, assignment)
