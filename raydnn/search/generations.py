"""The trials of a sweep, generation by generation: known up front, or learned from the results so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from raydnn.search import random
from raydnn.search.searcher import Evaluation, Searcher
from raydnn.space.space import Assignment, Space, make_trial
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec

BARREN = 10
"""Generations of nothing but known configurations before a new one is drawn at random."""


@dataclass(frozen=True)
class Result:
    """How a trial ended."""

    value: float | None
    """Best value of the metric, or None where it diverged or failed."""
    epochs: int
    finished: bool
    """Whether it was trained to its end."""
    at: Mapping[int, float] = field(default_factory=dict)
    """Rung in epochs → value there; only where `Generations.by_rung` asks for it."""


class Generations(Protocol):
    """A sweep's trials, numbered in the order in which they are proposed."""

    @property
    def over(self) -> bool:
        """Whether nothing more will be proposed, whatever the results."""

    @property
    def expected(self) -> int:
        """Number of all trials, also of those that are not proposed yet."""

    @property
    def by_rung(self) -> bool:
        """Whether `learn` needs the results at the rungs."""

    def propose(self) -> list[TrialSpec]:
        """The next generation's new trials; none when the sweep is over."""

    def learn(self, results: Mapping[int, Result]) -> None:
        """Take the results of all trials of the last generation, by number."""


class UpFront:
    """One generation, which nothing is learned from."""

    by_rung = False

    def __init__(self, trials: Iterable[TrialSpec]) -> None:
        self._trials = list(trials)
        self.expected = len(self._trials)

    @property
    def over(self) -> bool:
        """Whether all trials are proposed."""
        return not self._trials

    def propose(self) -> list[TrialSpec]:
        """All trials, the first time."""
        trials, self._trials = self._trials, []
        return trials

    def learn(self, results: Mapping[int, Result]) -> None:
        """Nothing is learned."""


@dataclass(frozen=True)
class _Proposal:
    asked: int | None
    assignment: Assignment
    number: int
    """Its trial; of several proposals of one configuration, the first one's."""


class Learning:
    """Generations of a searcher; a configuration that is proposed again is not trained again, its result is told."""

    def __init__(self, space: Space, job: Job, searcher: Searcher) -> None:
        assert job.search is not None
        assert job.search.trials is not None
        self._space, self._job, self._searcher = space, job, searcher
        self._sign = 1.0 if job.search.direction == "min" else -1.0
        self._trials = job.search.trials
        self.by_rung = job.search.scheduler.name == "bohb"
        self._numbers: dict[tuple[str, int], int] = {}
        self._results: dict[int, Result] = {}
        self._asked = 0
        self._generation: list[_Proposal] = []
        self._barren = False
        """Whether no new configuration was found the last time."""

    @property
    def expected(self) -> int:
        """The number asked for."""
        return self._trials

    @property
    def over(self) -> bool:
        """Whether as many trials are proposed as were asked for, or as there are."""
        return len(self._numbers) == self._trials or self._barren

    def propose(self) -> list[TrialSpec]:
        """The next generation's new trials."""
        if self._generation:
            raise RuntimeError("the last generation's results are not known yet")
        for _ in range(BARREN):
            count = min(self._searcher.batch, self._trials - len(self._numbers))
            if count == 0:
                return []
            found = self._ask(count)
            if found:
                return found
            self._tell()
        found = self._draw()
        self._barren = not found
        return found

    def learn(self, results: Mapping[int, Result]) -> None:
        """Tell the searcher of its last generation."""
        self._results.update(results)
        self._tell()

    def _ask(self, count: int) -> list[TrialSpec]:
        found = []
        for assignment in self._searcher.ask(count):
            trial = make_trial(self._job, assignment)
            if self._note(self._asked, assignment, trial):
                found.append(trial)
            self._asked += 1
        return found

    def _note(self, asked: int | None, assignment: Assignment, trial: TrialSpec) -> bool:
        """Note a proposal; return whether its trial is a new one."""
        known = len(self._numbers)
        number = self._numbers.setdefault((trial.config_hash, trial.seed), known)
        self._generation.append(_Proposal(asked, assignment, number))
        return number == known

    def _draw(self) -> list[TrialSpec]:
        """A random trial that is new, or in a finite space the next that is; none where there is no other."""
        points = random.points(self._space, self._job.seed, len(self._numbers))
        every = self._space.grid() if self._space.size() is not None else ()
        for assignment in chain(map(self._space.from_unit, points), every):
            trial = make_trial(self._job, assignment)
            if (trial.config_hash, trial.seed) not in self._numbers:
                self._note(None, assignment, trial)
                return [trial]
        return []

    def _tell(self) -> None:
        self._searcher.tell([self._evaluation(proposal) for proposal in self._generation])
        self._generation = []

    def _evaluation(self, proposal: _Proposal) -> Evaluation:
        result = self._results[proposal.number]
        score = None if result.value is None else self._sign * result.value
        return Evaluation(
            proposal.asked,
            proposal.assignment,
            score,
            result.epochs,
            result.finished and score is not None,
            {epochs: self._sign * value for epochs, value in result.at.items()},
        )
