"""Judging: results at a rung are put to Ray Tune's own scheduler, in an order that does not depend on time.

A rung's results reach the scheduler stack by stack in the order of the stacks' numbers: stack k is judged at an
epoch once every lower stack has been judged there or has ended. So the same sweep gives the same verdicts on
one slot or on many, and again when it is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from raydnn.search.rungs import rungs
from raydnn.spec.search import Asha, NoScheduler, Search
from raydnn.store.commit import EventLog
from raydnn.train.member import trial_id
from raydnn.train.verdict import Verdict


@dataclass(frozen=True)
class RayScheduler:
    """One of Ray Tune's scheduler classes, and the epochs at which it decides."""

    scheduler: Any
    rungs: tuple[int, ...]
    cutoff: Callable[[int], float | None]
    """Epoch of a rung → the value a result must reach there now, as Ray has it; None before the first."""


def _no_scheduler(_spec: NoScheduler, _metric: str, _mode: str, _max_epochs: int) -> None:
    return None


def _asha(spec: Asha, metric: str, mode: str, max_epochs: int) -> RayScheduler:
    from ray.tune.schedulers import ASHAScheduler

    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric=metric,
        mode=mode,
        max_t=max_epochs,
        grace_period=spec.min_epochs,
        reduction_factor=spec.eta,
    )
    bracket = scheduler._brackets[0]
    sign = 1.0 if mode == "max" else -1.0

    def cutoff(epoch: int) -> float | None:
        recorded = next(values for milestone, values in bracket._rungs if epoch >= milestone)
        value = bracket.cutoff(recorded)
        return None if value is None else sign * float(value)

    return RayScheduler(scheduler, rungs(spec.min_epochs, max_epochs, spec.eta), cutoff)


SCHEDULERS: dict[str, Callable[[Any, str, str, int], RayScheduler | None]] = {
    "none": _no_scheduler,
    "asha": _asha,
}
"""Name → Ray's scheduler for a search; the names are those of raydnn.spec.search."""


def ray_scheduler(search: Search, max_epochs: int) -> RayScheduler | None:
    """Build Ray Tune's scheduler for a search; None where nothing is stopped."""
    make = SCHEDULERS[search.scheduler.name]
    return make(search.scheduler, search.metric, search.direction, max_epochs)


class Judging:
    """Puts results to the scheduler in order, keeps its verdicts, and writes them down as events."""

    def __init__(
        self,
        ray_scheduler: RayScheduler,
        metric: str,
        stacks: int,
        events: EventLog,
        noted: set[tuple[str, int]],
        publish: Callable[[int, int, Mapping[int, Verdict]], None],
    ) -> None:
        """Begin with nothing judged.

        Args:
            ray_scheduler: Ray's scheduler and its rungs.
            metric: The column that is judged.
            stacks: Number of the sweep's stacks.
            events: Where verdicts are written.
            noted: (trial id, epoch) of the verdicts that are in `events` already.
            publish: Called with (stack, epoch, verdicts) once they are committed.
        """
        self._ray = ray_scheduler
        self._metric = metric
        self._events = events
        self._noted = noted
        self._publish = publish
        self._ended = [False] * stacks
        self._waiting: dict[tuple[int, int], Mapping[int, float]] = {}
        self._verdicts: dict[tuple[int, int], dict[int, Verdict]] = {}
        self._known: set[int] = set()

    def expect(self, stacks: int) -> None:
        """Take note of further stacks."""
        self._ended += [False] * stacks

    def result(self, stack: int, epoch: int, values: Mapping[int, float]) -> None:
        """Take a stack's results at a rung: trial number → value. Told twice, it judges once."""
        if (stack, epoch) in self._verdicts:
            self._publish(stack, epoch, self._verdicts[stack, epoch])
            return
        self._waiting[stack, epoch] = values
        self._judge_ready()

    def ended(self, stack: int) -> None:
        """Note that a stack sends no more results."""
        self._ended[stack] = True
        self._judge_ready()

    def _judge_ready(self) -> None:
        for stack, epoch in sorted(self._waiting, key=lambda key: (key[1], key[0])):
            if all(self._ended[lower] or (lower, epoch) in self._verdicts for lower in range(stack)):
                values = self._waiting.pop((stack, epoch))
                verdicts = {number: self._judge(number, epoch, value) for number, value in values.items()}
                self._verdicts[stack, epoch] = verdicts
                self._events.commit()
                self._publish(stack, epoch, verdicts)

    def _judge(self, number: int, epoch: int, value: float) -> Verdict:
        from ray.tune.schedulers import TrialScheduler

        # Ray's schedulers know a trial by its id only.
        trial = SimpleNamespace(trial_id=trial_id(number))
        if number not in self._known:
            self._known.add(number)
            self._ray.scheduler.on_trial_add(None, trial)
        rung = self._ray.rungs.index(epoch)
        cutoff = self._ray.cutoff(epoch)
        decision = self._ray.scheduler.on_trial_result(None, trial, {"epoch": epoch, self._metric: value})
        stop = decision == TrialScheduler.STOP
        if (trial.trial_id, epoch) not in self._noted:
            self._events.add(
                "stopped" if stop else "promoted",
                trial_id=trial.trial_id,
                epoch=epoch,
                bracket=0,
                rung=rung,
                value=value,
                cutoff=cutoff,
            )
        return Verdict(stop, rung)
