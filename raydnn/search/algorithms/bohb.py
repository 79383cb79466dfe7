"""BOHB's model: TPE on the results at one budget, the largest that has enough of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raydnn.search.algorithms import random
from raydnn.search.algorithms.optuna_study import asked, new_study, quiet
from raydnn.search.algorithms.searcher import Evaluation, integer_seed, stream
from raydnn.search.rungs import hyperband_brackets
from raydnn.space.space import Assignment, Space
from raydnn.space.suggest import suggest
from raydnn.spec.algorithm import Tpe
from raydnn.spec.scheduler import Bohb

if TYPE_CHECKING:
    from optuna import Study


class BohbSearcher:
    """Proposes a bracket at a time; results after different numbers of epochs are never compared.

    A trial counts at each rung that it reached and, if it was trained to its end, at the whole budget. One that
    diverged or failed counts among the bad ones at every budget.
    """

    def __init__(self, space: Space, seed: int, tpe: Tpe, bohb: Bohb, max_epochs: int) -> None:
        """Begin with nothing known.

        Args:
            space: The space.
            seed: Of all draws.
            tpe: The model.
            bohb: The scheduler, whose brackets are proposed, the largest first.
            max_epochs: A trial's whole budget, in epochs.
        """
        self._space, self._seed, self._tpe, self._bohb = space, seed, tpe, bohb
        self._max_epochs = max_epochs
        self._sizes = [bracket.trials for bracket in reversed(hyperband_brackets(max_epochs, bohb.eta))]
        self._enough = len(space.parameters) + 3 if bohb.enough is None else bohb.enough
        self._brackets = 0
        """How many were proposed."""
        self._asked = 0
        self._evaluations: list[Evaluation] = []

    @property
    def batch(self) -> int:
        """The trials of the next bracket."""
        return self._sizes[self._brackets % len(self._sizes)]

    @property
    def budget(self) -> int | None:
        """The largest number of epochs with enough results; None where there is none yet."""
        counts: dict[int, int] = {}
        for evaluation in self._evaluations:
            for epochs in self._scores(evaluation):
                counts[epochs] = counts.get(epochs, 0) + 1
        return max((epochs for epochs, count in counts.items() if count >= self._enough), default=None)

    def ask(self, count: int) -> list[Assignment]:
        """Propose trials, some of them at random, the others where the model expects the most."""
        numbers = range(self._asked, self._asked + count)
        self._asked += count
        self._brackets += 1
        budget = self.budget
        if budget is None:
            return [self._draw(number) for number in numbers]
        with quiet():
            study = self._study(budget, numbers.start)
            return [
                self._draw(number)
                if stream(self._seed, number).random() < self._bohb.random_share
                else suggest(self._space, study.ask())
                for number in numbers
            ]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Note all results."""
        self._evaluations += evaluations

    def _draw(self, number: int) -> Assignment:
        return self._space.from_unit(next(random.points(self._space, self._seed, number)))

    def _scores(self, evaluation: Evaluation) -> dict[int, float]:
        """Epochs → score there; none of a trial that diverged or failed."""
        if evaluation.score is None:
            return {}
        scores = dict(evaluation.at)
        if evaluation.finished:
            scores[self._max_epochs] = evaluation.score
        return scores

    def _study(self, budget: int, asked_before: int) -> Study:
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState, create_trial

        sampler = TPESampler(
            seed=integer_seed(self._seed, asked_before),
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=1,
            n_ei_candidates=self._tpe.candidates,
        )
        study = new_study(sampler)
        for evaluation in self._evaluations:
            score = self._scores(evaluation).get(budget)
            if score is None and evaluation.score is not None:
                continue
            params, distributions = asked(self._space, evaluation.assignment)
            state = TrialState.PRUNED if score is None else TrialState.COMPLETE
            study.add_trial(
                create_trial(state=state, value=score, params=params, distributions=distributions)
            )
        return study
