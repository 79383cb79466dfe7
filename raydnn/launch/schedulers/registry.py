"""Ray Tune's own scheduler classes, fed with the results of trials that no Tune trial stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from raydnn.search.rungs import rungs
from raydnn.space.domains.syntax import Value
from raydnn.spec.scheduler import Asha, Median
from raydnn.spec.trial import TrialSpec
from raydnn.training.stack.member import trial_id

VALUE = "value"
"""Name of the judged metric in what Ray's schedulers are told."""


@dataclass(frozen=True)
class Copy:
    """That a trial copies another one, and with what it goes on."""

    source: int
    spec: TrialSpec
    """The trial's configuration from now on."""
    before: Mapping[str, Value]
    """The searched fields of its configuration until now."""
    after: Mapping[str, Value]
    """The same from now on."""


@dataclass(frozen=True)
class Decision:
    """What a scheduler decided of a trial, and what it follows from."""

    stop: bool
    bracket: int | None = None
    rung: int | None = None
    """None: nothing was to be decided of this trial at this epoch, or the scheduler has no rungs."""
    cutoff: float | None = None
    """The value that a result had to reach; None where there was none yet."""
    copy: Copy | None = None


class RayScheduler(Protocol):
    """One of Ray Tune's schedulers, which decides on trials by their numbers."""

    rungs: tuple[int, ...]
    """The rising epochs at which stacks tell the results of their trials."""
    synchronous: bool
    """Whether trials wait at a rung for others to reach it."""

    def begin(self, numbers: Sequence[int]) -> None:
        """Take note of a generation's trials, in rising order."""

    def report(self, number: int, epoch: int, value: float) -> Mapping[int, Decision]:
        """Take a trial's result; return what is decided now, of this trial or of others that wait."""

    def end(self, number: int) -> Mapping[int, Decision]:
        """Note that a trial sends no more results; return what is decided now of others that wait."""


class RayAsha:
    """Asynchronous successive halving; it decides at once."""

    synchronous = False

    def __init__(self, spec: Asha, mode: str, max_epochs: int, seed: int) -> None:
        from ray.tune.schedulers import ASHAScheduler

        self._asha = ASHAScheduler(
            time_attr="epoch",
            metric=VALUE,
            mode=mode,
            max_t=max_epochs,
            grace_period=spec.min_epochs,
            reduction_factor=spec.eta,
            brackets=spec.brackets,
        )
        self._sign = 1.0 if mode == "max" else -1.0
        self._seed = seed
        self._rungs = [rungs(spec.min_epochs, max_epochs, spec.eta, s) for s in range(spec.brackets)]
        self.rungs = tuple(sorted(set().union(*self._rungs)))
        self._bracket: dict[int, int] = {}

    def begin(self, numbers: Sequence[int]) -> None:
        """Draw each trial's bracket, keyed by its number."""
        for number in numbers:
            with _numpy_seeded(self._seed, number):
                self._asha.on_trial_add(None, _trial(number))
            bracket = self._asha._trial_info[trial_id(number)]
            self._bracket[number] = self._asha._brackets.index(bracket)

    def report(self, number: int, epoch: int, value: float) -> Mapping[int, Decision]:
        """Decide on a trial, where its bracket has a rung."""
        bracket = self._bracket[number]
        if epoch not in self._rungs[bracket]:
            return {number: Decision(False, bracket)}
        cutoff = self._cutoff(bracket, epoch)
        answer = self._asha.on_trial_result(None, _trial(number), {"epoch": epoch, VALUE: value})
        rung = self._rungs[bracket].index(epoch)
        return {number: Decision(answer == "STOP", bracket, rung, cutoff)}

    def end(self, number: int) -> Mapping[int, Decision]:
        """Nobody waits for anybody."""
        return {}

    def _cutoff(self, bracket: int, epoch: int) -> float | None:
        """The value a result must reach there now, as Ray has it; None before the first."""
        found = self._asha._brackets[bracket]
        recorded = next(values for milestone, values in found._rungs if epoch >= milestone)
        value = found.cutoff(recorded)
        return None if value is None else self._sign * float(value)


class RayMedian:
    """Median stopping; it decides at once, after every epoch."""

    synchronous = False

    def __init__(self, spec: Median, mode: str, max_epochs: int, seed: int) -> None:
        from ray.tune.schedulers import MedianStoppingRule

        self._median = MedianStoppingRule(
            time_attr="epoch",
            metric=VALUE,
            mode=mode,
            grace_period=spec.min_epochs,
            min_samples_required=spec.min_trials,
            min_time_slice=math.inf,  # it never pauses
        )
        # Those before min_epochs count as well: the best so far may be among them.
        self.rungs = tuple(range(1, max_epochs))
        self._trials: dict[int, Any] = {}

    def begin(self, numbers: Sequence[int]) -> None:
        """Take note of a generation's trials."""
        for number in numbers:
            self._trials[number] = _trial(number)
            self._median.on_trial_add(None, self._trials[number])

    def report(self, number: int, epoch: int, value: float) -> Mapping[int, Decision]:
        """Decide on a trial."""
        result = {"epoch": epoch, VALUE: value}
        answer = self._median.on_trial_result(None, self._trials[number], result)
        return {number: Decision(answer == "STOP")}

    def end(self, number: int) -> Mapping[int, Decision]:
        """Nobody waits for anybody."""
        return {}


class _Trial(SimpleNamespace):
    """What Ray's schedulers know of a trial: its id, and whether it runs."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def _trial(number: int) -> Any:
    return _Trial(trial_id=trial_id(number), status="RUNNING")


@contextmanager
def _numpy_seeded(seed: int, number: int) -> Iterator[None]:
    """Ray draws a trial's bracket from NumPy's global generator; this makes it a function of seed and number."""
    before = np.random.get_state()
    key = np.random.SeedSequence(seed, spawn_key=(number, 1))
    np.random.seed(int(key.generate_state(1)[0]))
    try:
        yield
    finally:
        np.random.set_state(before)
