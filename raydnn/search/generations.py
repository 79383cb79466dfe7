"""The trials of a sweep, generation by generation: known up front, or learned from the results so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Protocol

from raydnn.search.algorithms import random
from raydnn.search.algorithms.searcher import Evaluation, Searcher
from raydnn.search.distinct import distinct
from raydnn.search.history import History, Result
from raydnn.search.stages import SEARCH, Stage
from raydnn.space.inverse import OutsideError, assignment_of
from raydnn.space.space import Assignment, Space, make_trial
from raydnn.spec.job import SweepJob
from raydnn.spec.trial import TrialSpec

BARREN = 10
"""Generations of nothing but known configurations before a new one is drawn at random."""


class Generations(Protocol):
    """A sweep's trials, numbered in the order in which they are proposed."""

    @property
    def over(self) -> bool:
        """Whether nothing more will be proposed, whatever the results."""

    @property
    def segment_over(self) -> bool:
        """Whether all trials of the present segment are proposed; those of an extension may follow."""

    @property
    def expected(self) -> int:
        """Number of all trials, also of those that are not proposed yet."""

    @property
    def by_rung(self) -> bool:
        """Whether `learn` needs the results at the rungs."""

    @property
    def stage(self) -> Stage:
        """How the trials that were proposed last are trained."""

    def propose(self) -> list[TrialSpec]:
        """The next generation's new trials; none when the sweep is over."""

    def learn(self, results: Mapping[int, Result]) -> None:
        """Take the results of all trials of the last generation, by number."""


class Source(Generations, Protocol):
    """One algorithm's share of a sweep: a segment, or several that go on alike."""

    def extend(self, job: SweepJob, trials: int | None, first: Sequence[Assignment]) -> None:
        """Begin a segment.

        Args:
            job: Its job.
            trials: How many trials it adds; None: as many as there are.
            first: The first of them, at most as many, none of them known.
        """


class UpFront:
    """One generation a segment, which nothing is learned from."""

    by_rung = False
    stage = SEARCH

    def __init__(self, space: Space, draws: Iterator[Iterable[Assignment]], history: History) -> None:
        """Begin.

        Args:
            space: The space.
            draws: For each trial, assignments in the order in which they are tried.
            history: The sweep's trials so far; the new ones are noted there.
        """
        self._space, self._draws, self._history = space, draws, history
        self._trials: list[TrialSpec] = []

    @property
    def over(self) -> bool:
        """Whether all trials are proposed."""
        return not self._trials

    segment_over = over

    @property
    def expected(self) -> int:
        """Number of all trials so far."""
        return len(self._history)

    def extend(self, job: SweepJob, trials: int | None, first: Sequence[Assignment]) -> None:
        """Find a segment's trials; the draws go on where they were."""
        given = (make_trial(job, assignment) for assignment in first)
        drawn = distinct(self._space, job, self._draws, self._history)
        for trial in islice(chain(given, drawn), trials):
            self._history.number(trial)
            self._trials.append(trial)

    def propose(self) -> list[TrialSpec]:
        """All trials of the segment, the first time."""
        trials, self._trials = self._trials, []
        return trials

    def learn(self, results: Mapping[int, Result]) -> None:
        """Note the results; nothing is learned."""
        self._history.results.update(results)


@dataclass(frozen=True)
class _Proposal:
    asked: int | None
    assignment: Assignment
    number: int
    """Its trial; of several proposals of one configuration, the first one's."""


class Learning:
    """Generations of a searcher; a configuration that is proposed again is not trained again, its result is told."""

    stage = SEARCH

    def __init__(self, space: Space, job: SweepJob, searcher: Searcher, history: History) -> None:
        """Begin with the results that there are.

        Args:
            space: The space.
            job: The job.
            searcher: It is told all earlier results that lie in the space.
            history: The sweep's trials so far; the new ones are noted there.
        """
        self._space, self._job, self._searcher, self._history = space, job, searcher, history
        self._sign = 1.0 if job.search.direction == "min" else -1.0
        self.by_rung = job.search.scheduler.name == "bohb"
        self._most = 0
        self._first: list[Assignment] = []
        """Given assignments that the next generation begins with."""
        self._asked = 0
        self._generation: list[_Proposal] = []
        self._barren = False
        """Whether no new configuration was found the last time."""
        if history.trials:
            self._searcher.tell(list(self._earlier()))

    @property
    def expected(self) -> int:
        """The number asked for, or as many as there are."""
        return len(self._history) if self.over else self._most

    @property
    def over(self) -> bool:
        """Whether as many trials are proposed as were asked for, or as there are."""
        return len(self._history) >= self._most or self._barren

    segment_over = over

    def extend(self, job: SweepJob, trials: int | None, first: Sequence[Assignment]) -> None:
        """Let more generations follow."""
        assert trials is not None
        self._job, self._first, self._barren = job, list(first), False
        self._most = len(self._history) + trials

    def propose(self) -> list[TrialSpec]:
        """The next generation's new trials; none at the end."""
        if self._generation:
            raise RuntimeError("the last generation's results are not known yet")
        first, self._first = self._first, []
        found = [self._note(None, assignment) for assignment in first]
        for _ in range(BARREN):
            count = min(self._searcher.batch, self._most - len(self._history))
            if count > 0:
                found += self._ask(count)
            new = [trial for trial in found if trial is not None]
            if new or count <= 0:
                return new
            self._tell()
        drawn = self._draw()
        self._barren = not drawn
        return drawn

    def learn(self, results: Mapping[int, Result]) -> None:
        """Tell the searcher of its last generation."""
        self._history.results.update(results)
        self._tell()

    def _ask(self, count: int) -> list[TrialSpec | None]:
        asked = list(enumerate(self._searcher.ask(count), self._asked))
        self._asked += len(asked)
        return [self._note(number, assignment) for number, assignment in asked]

    def _note(self, asked: int | None, assignment: Assignment) -> TrialSpec | None:
        """Note a proposal; return its trial if it is a new one."""
        trial, known = make_trial(self._job, assignment), len(self._history)
        number = self._history.number(trial)
        self._generation.append(_Proposal(asked, assignment, number))
        return trial if number == known else None

    def _draw(self) -> list[TrialSpec]:
        """A random trial that is new, or in a finite space the next that is; none where there is no other."""
        points = random.points(self._space, self._job.seed, len(self._history))
        every = self._space.grid() if self._space.size() is not None else ()
        for assignment in chain(map(self._space.from_unit, points), every):
            trial = make_trial(self._job, assignment)
            if trial not in self._history:
                self._note(None, assignment)
                return [trial]
        return []

    def _tell(self) -> None:
        self._searcher.tell([self._evaluation(proposal) for proposal in self._generation])
        self._generation = []

    def _earlier(self) -> Iterator[Evaluation]:
        """What became of earlier trials; with a smaller budget than the job's they count as stopped there."""
        for number, trial in enumerate(self._history.trials):
            try:
                assignment = assignment_of(self._space, self._job, trial)
            except OutsideError:
                continue
            told = self._evaluation(_Proposal(None, assignment, number))
            whole = make_trial(self._job, assignment).train.epochs <= trial.train.epochs
            yield replace(told, finished=told.finished and whole)

    def _evaluation(self, proposal: _Proposal) -> Evaluation:
        result = self._history.results[proposal.number]
        score = None if result.value is None else self._sign * result.value
        return Evaluation(
            proposal.asked,
            proposal.assignment,
            score,
            result.epochs,
            result.finished and score is not None,
            {epochs: self._sign * value for epochs, value in result.at.items()},
        )
