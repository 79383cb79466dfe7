"""Hyperband and BOHB by Ray Tune's own classes: a bracket's trials wait at a rung until all of them are there.

Ray's classes pause and stop Tune trials through Tune's controller. Here a stand-in takes its place, so that the
trials of a stack can be told one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from raydnn.launch.schedulers.registry import VALUE, Decision
from raydnn.search.rungs import hyperband_brackets
from raydnn.spec.scheduler import Bohb, Hyperband
from raydnn.training.stack.member import trial_id


class RayHalving:
    """Brackets of successive halving; the verdicts of a rung are known when all of its trials have reached it."""

    synchronous = True

    def __init__(self, spec: Hyperband | Bohb, mode: str, max_epochs: int, seed: int) -> None:
        from ray.tune.schedulers import HyperBandForBOHB, HyperBandScheduler

        # It tells of every bracket that it leaves out.
        logging.getLogger("ray.tune.schedulers").setLevel(logging.ERROR)
        make = HyperBandForBOHB if isinstance(spec, Bohb) else HyperBandScheduler
        self._scheduler: Any = make(
            time_attr="epoch",
            metric=VALUE,
            mode=mode,
            max_t=max_epochs,
            reduction_factor=spec.eta,
            stop_last_trials=False,  # those that are left have their whole budget, and end by themselves
        )
        self._worst = max if mode == "min" else min
        self._controller = _Controller(self._scheduler)
        brackets = hyperband_brackets(max_epochs, spec.eta)
        self.rungs = tuple(sorted(set().union(*(bracket.rungs for bracket in brackets))))
        self._trials: dict[int, _Trial] = {}
        self._numbers: dict[Any, int] = {}
        """Ray's bracket → its number, in the order in which they are opened."""
        self._passed: dict[Any, list[int]] = {}
        """Ray's bracket → the epochs of its rungs that were judged."""

    def begin(self, numbers: Sequence[int]) -> None:
        """Put a generation's trials into brackets of their own."""
        # Into the last one, whose trials have ended, Ray would put some that nothing is to be compared with.
        self._scheduler._state["bracket"] = None
        for number in numbers:
            trial = self._trials[number] = _Trial(number)
            self._scheduler.on_trial_add(self._controller, trial)
            bracket = self._bracket(trial)
            self._numbers.setdefault(bracket, len(self._numbers))
            self._passed.setdefault(bracket, [])

    def report(self, number: int, epoch: int, value: float) -> Mapping[int, Decision]:
        """Take a trial's result; the last one of a rung decides on all of them."""
        trial = self._trials[number]
        bracket = self._bracket(trial)
        if epoch < bracket._cumul_r or bracket._halves == 0:
            return {number: Decision(False, self._numbers[bracket])}
        waiting = [other for other in bracket.current_trials() if other.status == "PAUSED"]
        trial.status = "RUNNING"
        answer = self._scheduler.on_trial_result(self._controller, trial, {"epoch": epoch, VALUE: value})
        trial.status = {"PAUSE": "PAUSED", "STOP": "TERMINATED", "CONTINUE": "RUNNING"}[answer]
        trial.value = value
        return self._decided(bracket, epoch, [*waiting, trial])

    def end(self, number: int) -> Mapping[int, Decision]:
        """Drop a trial; where all others of its bracket wait, they are decided on."""
        trial = self._trials[number]
        bracket = self._bracket(trial)
        epoch = bracket._cumul_r
        trial.status = "TERMINATED"
        waiting = [other for other in bracket.current_trials() if other.status == "PAUSED"]
        self._scheduler.on_trial_complete(self._controller, trial, {})
        return self._decided(bracket, epoch, waiting)

    def _decided(self, bracket: Any, epoch: int, trials: Sequence[_Trial]) -> dict[int, Decision]:
        """The decisions on trials at a rung, once none of the bracket is missing."""
        # Ray would wait for ever where the last one that was missing ends, where a bracket is not full, or where
        # a rung has the epochs of the one before (for a small eta): there nothing else happens that wakes it.
        _wake(bracket)
        while _all_wait(bracket):
            self._scheduler._process_bracket(self._controller, bracket)
            _wake(bracket)
        if not trials or any(trial.status == "PAUSED" for trial in trials):
            return {}
        rung = len(self._passed[bracket])
        self._passed[bracket].append(epoch)
        kept = [trial.value for trial in trials if trial.status == "RUNNING"]
        cutoff = self._worst(kept) if kept else None
        return {
            trial.number: Decision(trial.status == "TERMINATED", self._numbers[bracket], rung, cutoff)
            for trial in trials
        }

    def _bracket(self, trial: _Trial) -> Any:
        return self._scheduler._trial_info[trial][0]


class _Trial:
    """A trial as Ray's classes see it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.trial_id = trial_id(number)
        self.status = "RUNNING"
        self.is_saving = False
        self.value = 0.0
        """What it was last judged by."""


class _Controller:
    """Stands in for Tune's controller and its searcher."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        nothing = SimpleNamespace(on_pause=lambda _trial_id: None, on_unpause=lambda _trial_id: None)
        self.search_alg = SimpleNamespace(searcher=nothing)

    def stop_trial(self, trial: _Trial) -> None:
        """End a paused trial, as Tune does."""
        trial.status = "TERMINATED"
        self._scheduler.on_trial_remove(self, trial)


def _wake(bracket: Any) -> None:
    """Let the trials go on that Ray would start again from their checkpoints."""
    for trial in bracket.current_trials():
        if bracket.continue_trial(trial):
            trial.status = "RUNNING"


def _all_wait(bracket: Any) -> bool:
    trials = bracket.current_trials()
    return bool(trials) and all(trial.status == "PAUSED" for trial in trials)
