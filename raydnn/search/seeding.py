"""Several seeds for each configuration of a sweep, and further ones for the best of them when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from raydnn.search.generations import Generations
from raydnn.search.history import Result
from raydnn.search.stages import Stage, seeded
from raydnn.spec.search import Search
from raydnn.spec.trial import TrialSpec


class Seeded:
    """Generations whose configurations are trained with `repeats` seeds, the best again with `confirm_seeds` more.

    What proposes the configurations learns one result of each. A configuration's trials are numbered one after the
    other, and have its own seed, seed + 1, .... When the search is over (that of a sweep or of its extension), those
    that confirm are a generation of their own: numbered on, their seeds follow, trained to the whole budget.
    """

    def __init__(self, source: Generations, search: Search) -> None:
        self._source = source
        self._repeats, self._most = search.repeats, search.confirm
        self._sign = 1.0 if search.direction == "min" else -1.0
        self._configurations: list[TrialSpec] = []
        self._learned: dict[int, Result] = {}
        """Configuration → its result."""
        self._begin = 0
        """Number of the last generation's first configuration."""
        self._confirmed: list[int] = []
        """The configurations that were trained again."""
        self._settled = search.confirm == 0
        """Whether none of what has been searched so far is to be trained again any more."""
        self._confirming = confirming(search)
        self.by_rung = source.by_rung
        self.stage = replace(source.stage, seeds=self._repeats)

    @property
    def over(self) -> bool:
        """Whether the search is over and its best configurations are proposed again."""
        return self._source.over and self._settled

    @property
    def segment_over(self) -> bool:
        """Whether all of that is proposed for the present segment."""
        return self._source.segment_over and self._settled

    @property
    def expected(self) -> int:
        """Number of all trials; at most, while it is open which will be confirmed."""
        searched = self._source.expected
        to_come = 0 if self.over else min(self._most, searched)
        return searched * self._repeats + (len(self._confirmed) + to_come) * self._confirming.seeds

    def propose(self) -> list[TrialSpec]:
        """The next configurations with all their seeds; where there are none left, the best with further seeds."""
        while not self.over:
            if self._source.segment_over and not self._settled:
                self._settled = True
                best = [number for number in self._ranked()[: self._most] if number not in self._confirmed]
                self._confirmed += best
                self.stage = replace(self._confirming, scheduler=self._source.stage.scheduler)
                found = [self._configurations[number] for number in best]
            else:
                found = self._source.propose()
                self._begin = len(self._configurations)
                self._configurations += found
                self._settled = self._most == 0
                self.stage = replace(self._source.stage, seeds=self._repeats)
            if found:
                return seeded(found, self.stage)
        return []

    def learn(self, results: Mapping[int, Result]) -> None:
        """Take the results of the last generation's trials, and tell those of its configurations.

        What was trained to confirm tells the search nothing: it competes with values of fewer seeds.
        """
        if self.stage.name == "confirm":
            return
        trials = sorted(results)
        of_each = {
            self._begin + place: together(
                [results[number] for number in trials[first : first + self._repeats]]
            )
            for place, first in enumerate(range(0, len(trials), self._repeats))
        }
        self._learned.update(of_each)
        self._source.learn(of_each)

    def _ranked(self) -> list[int]:
        """The configurations none of whose trials failed, the best first."""
        scores = [
            (self._sign * result.value, number)
            for number, result in self._learned.items()
            if result.value is not None
        ]
        return [number for _, number in sorted(scores)]


def confirming(search: Search) -> Stage:
    """The stage in which a search's best configurations are confirmed; no scheduler judges."""
    return Stage("confirm", search.confirm_seeds, offset=search.repeats, judged=False)


def together(results: Sequence[Result]) -> Result:
    """The result of a configuration from those of its trials.

    The mean of their best values; None if any of them diverged or failed, for a configuration that cannot be
    relied upon is no good one, however good its other seeds are. The most epochs of any; finished if all are.

    Args:
        results: Of the trials by rising seed; the scheduler's values at the rungs are told of the first one.
    """
    values = [result.value for result in results if result.value is not None]
    return Result(
        fmean(values) if len(values) == len(results) else None,
        max(result.epochs for result in results),
        all(result.finished for result in results),
        results[0].at,
    )
