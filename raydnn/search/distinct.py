"""Trials that differ: where a point repeats a configuration, another is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from raydnn.space.space import Space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec


def distinct(space: Space, job: Job, candidates: Iterable[Iterable[Sequence[float]]]) -> list[TrialSpec]:
    """One trial after the other, each with a configuration that no earlier one has.

    `auto` and the component it stands for are one configuration.

    Args:
        space: The space.
        job: The job whose values hold where nothing is searched.
        candidates: For each trial, points of the unit cube in the order in which they are tried; where all
            repeat, a finite space's unused configurations are taken in order, and when none is left, the
            last point stands.
    """
    unused = _every(space, job)
    seen: set[tuple[str, int]] = set()
    trials: list[TrialSpec] = []
    for points in candidates:
        trial = _first_new((make_trial(job, space.from_unit(point)) for point in points), unused, seen)
        seen.add(_identity(trial))
        trials.append(trial)
    return trials


def _first_new(
    candidates: Iterable[TrialSpec], unused: Iterator[TrialSpec], seen: set[tuple[str, int]]
) -> TrialSpec:
    for trial in candidates:
        if _identity(trial) not in seen:
            return trial
    return next((other for other in unused if _identity(other) not in seen), trial)


def _every(space: Space, job: Job) -> Iterator[TrialSpec]:
    """Every trial of a finite space, made only when asked for; nothing of a continuous one."""
    if space.size() is not None:
        for assignment in space.grid():
            yield make_trial(job, assignment)


def _identity(trial: TrialSpec) -> tuple[str, int]:
    return trial.config_hash, trial.seed
