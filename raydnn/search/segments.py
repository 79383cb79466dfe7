"""A sweep of several segments: what it was begun with, and each of its extensions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from raydnn.search.generations import Source
from raydnn.search.history import History, Result
from raydnn.search.stages import Stage
from raydnn.space.inverse import BUDGET, OutsideError, assignment_of
from raydnn.space.space import Assignment, Space, make_trial
from raydnn.spec.algorithm import Grid, Random, Sobol
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import SweepJob
from raydnn.spec.scheduler import Bohb
from raydnn.spec.trial import TrialSpec


@dataclass(frozen=True)
class Segment:
    """What a sweep was begun or extended with."""

    space: Space
    job: SweepJob
    trials: int | None
    """Configurations that it adds; None: as many as its algorithm has."""
    start: tuple[Assignment, ...] = ()
    """Given configurations that come first."""


class Chain:
    """The segments' trials, one segment after the other, no configuration twice.

    A segment whose algorithm, space and budget are the last one's goes on with it, as one longer segment would have.
    Else its algorithm begins anew and is told all earlier results that lie in its space. A segment with a larger
    budget first trains the finished trials of the earlier ones again, the best first: as schedules depend on the
    budget, with another one they are other configurations.
    """

    def __init__(self, segments: Sequence[Segment], make: Callable[[Segment, History], Source]) -> None:
        """Begin with the first segment.

        Args:
            segments: At least one.
            make: A segment's algorithm, from the segment and the sweep's trials so far.
        """
        self._segments, self._make = segments, make
        self._history = History()
        self._number = 0
        self._part = make(segments[0], self._history)
        self._extend()
        self.by_rung = any(
            segment.job.search.scheduler.name == "bohb" for segment in segments if segment.job.search
        )

    @property
    def over(self) -> bool:
        """Whether the last segment is over."""
        return self._part.over and self._number == len(self._segments) - 1

    @property
    def segment_over(self) -> bool:
        """Whether all trials of the present segment are proposed."""
        return self._part.segment_over

    @property
    def expected(self) -> int:
        """Number of all trials."""
        return self._part.expected + sum(each.trials or 0 for each in self._segments[self._number + 1 :])

    @property
    def stage(self) -> Stage:
        """How the trials that were proposed last are trained."""
        return replace(self._part.stage, scheduler=self._scheduler())

    def propose(self) -> list[TrialSpec]:
        """The next generation's new trials, of the present segment or of the next one that has any."""
        while True:
            trials = [] if self._part.over else self._part.propose()
            if trials or not self._part.over or self.over:
                return trials
            self._begin_next()

    def learn(self, results: Mapping[int, Result]) -> None:
        """Take the results of all trials of the last generation."""
        self._part.learn(results)

    def _begin_next(self) -> None:
        last = self._segments[self._number]
        self._number += 1
        segment = self._segments[self._number]
        if not _goes_on(last, segment):
            self._part = self._make(segment, self._history)
        self._extend()

    def _extend(self) -> None:
        segment = self._segments[self._number]
        first: dict[tuple[str, int], Assignment] = {}
        for assignment in (*self._to_be_trained_longer(), *segment.start):
            trial = make_trial(segment.job, assignment)
            if trial not in self._history:
                first.setdefault((trial.config_hash, trial.seed), assignment)
        self._part.extend(segment.job, segment.trials, list(islice(first.values(), segment.trials)))

    def _to_be_trained_longer(self) -> Iterator[Assignment]:
        """The finished trials of the segments before a larger budget, the best first."""
        segment = self._segments[self._number]
        search = segment.job.search
        if self._number == 0 or epochs_of(segment.job) == epochs_of(self._segments[self._number - 1].job):
            return
        if any(parameter.path == BUDGET for parameter in segment.space.parameters):
            return
        sign = 1.0 if search.direction == "min" else -1.0
        finished = [
            (sign * result.value, number)
            for number, result in self._history.results.items()
            if result.finished and result.value is not None
        ]
        for _, number in sorted(finished):
            try:
                yield assignment_of(segment.space, segment.job, self._history.trials[number])
            except OutsideError:
                continue

    def _scheduler(self) -> int:
        """The first of the segments in a row whose scheduler is the present one's, with the same budget."""
        first = self._number
        while first and _judged_alike(self._segments[first - 1].job, self._segments[first].job):
            first -= 1
        return first


def _goes_on(last: Segment, segment: Segment) -> bool:
    """Whether a segment goes on with the algorithm of the last one."""
    before, now = last.job.search, segment.job.search
    if (before.algorithm, before.space) != (now.algorithm, now.space):
        return False
    if isinstance(now.algorithm, Random | Grid | Sobol):
        return True  # nothing is learned, so neither budget nor scheduler matters
    bohb = isinstance(before.scheduler, Bohb) or isinstance(now.scheduler, Bohb)
    return epochs_of(last.job) == epochs_of(segment.job) and (not bohb or before.scheduler == now.scheduler)


def _judged_alike(last: SweepJob, job: SweepJob) -> bool:
    return (last.search.scheduler, epochs_of(last)) == (job.search.scheduler, epochs_of(job))
