"""TPE by Optuna: multivariate within groups of parameters that occur together, aware of what is in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raydnn.search.algorithms import random
from raydnn.search.algorithms.optuna_study import asked, new_study, quiet
from raydnn.search.algorithms.searcher import Evaluation, integer_seed
from raydnn.space.space import Assignment, Space
from raydnn.space.suggest import suggest
from raydnn.spec.algorithm import Tpe

if TYPE_CHECKING:
    from optuna import Trial


class TpeSearcher:
    """Optuna's TPESampler, asked for a parameter only where a trial has it.

    The proposals of a batch differ because each one without a result counts as a bad one (constant liar). A
    trial that was stopped is Optuna's pruned one: it ranks after those that were finished, and the later the
    better; one that diverged or failed ranks last.
    """

    def __init__(self, space: Space, seed: int, spec: Tpe) -> None:
        """Begin with the first trials of random search."""
        from optuna.samplers import TPESampler

        self._space, self._seed, self._spec = space, seed, spec
        with quiet():
            sampler = TPESampler(
                seed=integer_seed(seed, 0),
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=1,
                n_ei_candidates=spec.candidates,
            )
        self._study = new_study(sampler)
        self._asked = 0
        self._told = 0
        self._proposed: dict[int, Trial] = {}
        """Optuna's trials of the last generation; what was drawn at random has none."""

    @property
    def batch(self) -> int:
        """The batch; at first, all that is drawn at random."""
        return self._spec.batch if self._told else self._spec.startup

    def ask(self, count: int) -> list[Assignment]:
        """Propose the points that look best, one after the other."""
        numbers = range(self._asked, self._asked + count)
        self._asked += count
        if not self._told:
            return [self._space.from_unit(next(random.points(self._space, self._seed, n))) for n in numbers]
        self._proposed = {}
        with quiet():
            return [self._propose(number) for number in numbers]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Note all results in the study."""
        for evaluation in evaluations:
            if evaluation.asked in self._proposed:
                self._answer(self._proposed[evaluation.asked], evaluation)
            else:
                self._add(evaluation)
        self._told += len(evaluations)

    def _propose(self, number: int) -> Assignment:
        trial = self._proposed[number] = self._study.ask()
        return suggest(self._space, trial)

    def _answer(self, trial: Trial, evaluation: Evaluation) -> None:
        from optuna.trial import TrialState

        if evaluation.finished:
            self._study.tell(trial, evaluation.score)
        else:
            if evaluation.score is not None:
                trial.report(evaluation.score, evaluation.epochs)
            self._study.tell(trial, state=TrialState.PRUNED)

    def _add(self, evaluation: Evaluation) -> None:
        from optuna.trial import TrialState, create_trial

        params, distributions = asked(self._space, evaluation.assignment)
        reached = {} if evaluation.score is None else {evaluation.epochs: evaluation.score}
        trial = create_trial(
            state=TrialState.COMPLETE if evaluation.finished else TrialState.PRUNED,
            value=evaluation.score if evaluation.finished else None,
            params=params,
            distributions=distributions,
            intermediate_values=reached,
        )
        self._study.add_trial(trial)
