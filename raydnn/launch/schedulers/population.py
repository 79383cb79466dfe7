"""Population based training by Ray Tune's own class: at an interval all trials wait, then the worst copy the best.

Ray's class pauses Tune trials and starts them again from another's checkpoint. Here stand-ins take the place of its
trials and of Tune's controller, so that the trials of a stack can be told one by one.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from raydnn.launch.schedulers.registry import VALUE, Copy, Decision
from raydnn.search.packing import StackPlan
from raydnn.space.conditional import Assignment
from raydnn.space.explore import explore
from raydnn.space.inverse import assignment_of
from raydnn.space.space import Space, build_space
from raydnn.space.trial import make_trial
from raydnn.spec.algorithm import Pbt
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import SweepJob
from raydnn.spec.reading.positions import Positions
from raydnn.training.stack.member import trial_id


def ray_population(job: SweepJob, plans: Sequence[StackPlan]) -> RayPopulation | None:
    """Build Ray Tune's scheduler for the population of a sweep; None where its algorithm is not pbt.

    Args:
        job: The sweep's job.
        plans: All its stacks, as they were drawn; the list may grow in place.
    """
    if job.search is None or not isinstance(job.search.algorithm, Pbt):
        return None
    return RayPopulation(job, job.search.algorithm, build_space(job, Positions({})), plans)


class RayPopulation:
    """A population whose trials copy one another; what is decided follows from seed, epoch and results alone."""

    synchronous = True

    def __init__(self, job: SweepJob, spec: Pbt, space: Space, plans: Sequence[StackPlan]) -> None:
        """Begin without a population.

        Args:
            job: The sweep's job.
            spec: Its algorithm.
            space: What it searches.
            plans: All its stacks, as they were drawn; the list may grow in place.
        """
        self._job, self._spec, self._space, self._plans = job, spec, space, plans
        self._mode = job.search.direction
        self.rungs = tuple(range(spec.interval_epochs, epochs_of(job), spec.interval_epochs))
        self._pbt: Any = None
        self._trials: dict[int, _Trial] = {}
        self._waiting: list[int] = []
        """Trials that have reported since the last exploits."""
        self.search_alg = None
        """Ray's class looks whether Tune has a searcher."""

    def begin(self, numbers: Sequence[int]) -> None:
        """Begin with a population; that of an earlier generation has ended."""
        from ray.tune.schedulers import PopulationBasedTraining

        # It tells of every exploit.
        logging.getLogger("ray.tune.schedulers").setLevel(logging.ERROR)
        self._pbt = PopulationBasedTraining(
            time_attr="epoch",
            metric=VALUE,
            mode=self._mode,
            perturbation_interval=self._spec.interval_epochs,
            quantile_fraction=self._spec.quantile,
            resample_probability=self._spec.resample,
            perturbation_factors=self._spec.factors,
            custom_explore_fn=self._explored,
            log_config=False,
            synch=True,
        )
        self._pbt._checkpoint_or_exploit = self._drawing_for_trial(self._pbt._checkpoint_or_exploit)
        drawn = {number: trial for plan in self._plans for number, trial in plan.trials}
        self._trials = {
            number: _Trial(number, assignment_of(self._space, self._job, drawn[number])) for number in numbers
        }
        self._waiting = []
        for trial in self._trials.values():
            self._pbt.on_trial_add(self, trial)

    def report(self, number: int, epoch: int, value: float) -> Mapping[int, Decision]:
        """Take a trial's result; the last one of an epoch decides who copies whom."""
        self._trials[number].result = {"epoch": epoch, VALUE: value}
        self._waiting.append(number)
        return self._told(number)

    def end(self, number: int) -> Mapping[int, Decision]:
        """Drop a trial; where all others wait, they are decided on."""
        self._trials[number].status = "TERMINATED"
        # Ray would wait for ever where the last one that was missing ends: it is told of another one again.
        return self._told(self._waiting[-1]) if self._waiting else {}

    def get_trials(self) -> list[_Trial]:
        """All trials, as Tune's controller tells of them."""
        return list(self._trials.values())

    def get_live_trials(self) -> list[_Trial]:
        """Those that have not ended."""
        return [trial for trial in self._trials.values() if not trial.is_finished()]

    def _told(self, number: int) -> dict[int, Decision]:
        trial = self._trials[number]
        self._pbt.on_trial_result(self, trial, trial.result)
        if any(live.number not in self._waiting for live in self.get_live_trials()):
            return {}
        decided, self._waiting = self._waiting, []
        return {n: Decision(False, copy=self._copy(self._trials[n])) for n in decided}

    def _copy(self, trial: _Trial) -> Copy | None:
        """What Ray's class has just made of a trial."""
        source = trial.take_copied()
        if source is None:
            return None
        return Copy(source, make_trial(self._job, trial.config), trial.before, trial.config)

    def _explored(self, copied: Assignment) -> Assignment:
        """Explore in the place of Ray's own function, which knows no conditions and no bounds, with its draws."""
        rng = random.Random()
        rng.setstate(random.getstate())
        return explore(self._space, copied, self._spec.resample, self._spec.factors, rng)

    def _drawing_for_trial(self, exploit: Any) -> Any:
        """Ray draws from Python's global generator; this makes it a function of seed, epoch and trial."""

        def keyed(trial: _Trial, *others: Any) -> None:
            epoch = self._trials[self._waiting[-1]].result["epoch"]
            with _drawing(self._job.seed, epoch, trial.number):
                exploit(trial, *others)

        return keyed


class _Trial:
    """A trial as Ray's class sees it: paused whenever it has reported."""

    def __init__(self, number: int, config: Assignment) -> None:
        self.number = number
        self.trial_id = trial_id(number)
        self.status = "PAUSED"
        self.config = self.before = config
        """The searched fields of its configuration, and those before it copied another."""
        self.result: dict[str, Any] = {}
        """What was reported last."""
        self.experiment_tag = ""
        self.checkpoint = SimpleNamespace(number=number)
        """What others copy, in the place of a state in memory."""
        self.temporary_state = SimpleNamespace(saving_to=None)
        self._checkpoints = SimpleNamespace(
            checkpoint_config=SimpleNamespace(num_to_keep=None), _latest_checkpoint_result=None
        )
        self.run_metadata = SimpleNamespace(checkpoint_manager=self._checkpoints)

    def is_finished(self) -> bool:
        """Whether it has ended."""
        return self.status == "TERMINATED"

    def set_config(self, config: Assignment) -> None:
        """Take an explored configuration; the seed stays its own."""
        own = {path: value for path, value in self.config.items() if path == "seed"}
        self.before, self.config = self.config, {**own, **config}

    def set_experiment_tag(self, tag: str) -> None:
        """Take what Tune would print."""

    def take_copied(self) -> int | None:
        """The trial whose state it is to start from, told once."""
        copied = self._checkpoints._latest_checkpoint_result
        self._checkpoints._latest_checkpoint_result = None
        return None if copied is None else int(copied.checkpoint.number)


@contextmanager
def _drawing(seed: int, epoch: int, number: int) -> Iterator[None]:
    before = random.getstate()
    key = np.random.SeedSequence(seed, spawn_key=(number, epoch, 2))
    random.seed(int(key.generate_state(1)[0]))
    try:
        yield
    finally:
        random.setstate(before)
