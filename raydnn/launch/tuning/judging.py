"""Judging: results at a rung are put to Ray Tune's own scheduler, in an order that does not depend on time.

A rung's results reach the scheduler stack by stack in the order of the stacks' numbers: stack k is heard at an
epoch once every lower stack has been heard there or has ended. So the same sweep gives the same verdicts on
one slot or on many, and again when it is resumed.

Trials of one configuration that differ in their seeds alone are judged as one, by their mean. So a trial stands
here for its configuration: it is the first of them, and the verdict on it holds for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from raydnn.launch.schedulers.halving import RayHalving
from raydnn.launch.schedulers.registry import Copy, Decision, RayAsha, RayMedian, RayScheduler
from raydnn.search.packing import StackPlan
from raydnn.spec.search import Search
from raydnn.store.commit import EventLog
from raydnn.training.stack.member import trial_id
from raydnn.training.verdict import Exploit, Verdict

Noted = tuple[str | None, int | None, int]
"""(trial id, bracket, epoch) of an event; the first trial at a rung gives one without a trial."""


class Answer(NamedTuple):
    """What a stack waits for at a rung."""

    stack: int
    epoch: int
    verdicts: Mapping[int, Verdict]
    """Trial → verdict, all of them written down as events."""


SCHEDULERS: dict[str, Callable[[Any, str, int, int], RayScheduler] | None] = {
    "none": None,
    "asha": RayAsha,
    "hyperband": RayHalving,
    "bohb": RayHalving,
    "median": RayMedian,
}
"""Name → Ray's scheduler from spec, mode, max_epochs and seed; the names are those of raydnn.spec.scheduler."""


def ray_scheduler(search: Search, max_epochs: int, seed: int) -> RayScheduler | None:
    """Build Ray Tune's scheduler for a search; None where nothing is stopped.

    Args:
        search: The search.
        max_epochs: A trial's whole budget, in epochs.
        seed: The job's seed; asha draws brackets with it.
    """
    make = SCHEDULERS[search.scheduler.name]
    return None if make is None else make(search.scheduler, search.direction, max_epochs, seed)


class Judging:
    """Puts results to the scheduler in order, keeps its verdicts, and writes them down as events."""

    def __init__(self, scheduler: RayScheduler, events: EventLog, noted: set[Noted]) -> None:
        """Begin with nothing judged.

        Args:
            scheduler: Ray's scheduler.
            events: Where verdicts are written.
            noted: The verdicts that are in `events` already.
        """
        self._scheduler = scheduler
        self._events = events
        self._noted = noted
        self._members: list[list[int]] = []
        """Stack → its trials that go on, as far as is known here."""
        self._stack_of: dict[int, int] = {}
        self._ended: list[bool] = []
        self._to_drop: set[int] = set()
        """Stacks that have ended, while the scheduler still counts on their trials."""
        self._first = 0
        """All stacks below this one have ended."""
        self._waiting: dict[tuple[int, int], Mapping[int, float]] = {}
        """(epoch, stack) → trial → result, not heard yet."""
        self._heard: set[tuple[int, int]] = set()
        """(epoch, stack)."""
        self._open: dict[int, tuple[int, Mapping[int, float]]] = {}
        """Stack → epoch and results that were heard, while a verdict is missing."""
        self._known: dict[int, Decision] = {}
        """Trial of an open stack → what was decided of it."""
        self._verdicts: dict[tuple[int, int], dict[int, Verdict]] = {}
        """(stack, epoch) → trial → verdict."""

    @property
    def synchronous(self) -> bool:
        """Whether trials wait at a rung for others to reach it."""
        return self._scheduler.synchronous

    def expect(self, plans: Sequence[StackPlan]) -> None:
        """Take note of the stacks of a generation, numbered on from those of the last one."""
        for plan in plans:
            self._stack_of.update((number, len(self._members)) for number in plan.leaders)
            self._members.append(plan.leaders)
            self._ended.append(False)
        self._scheduler.begin(sorted(number for plan in plans for number in plan.leaders))

    def result(self, stack: int, epoch: int, values: Mapping[int, float]) -> list[Answer]:
        """Take a stack's results at a rung. Told twice, it judges once.

        Args:
            stack: The stack.
            epoch: The rung's epoch.
            values: Trial → value.

        Returns:
            What can be answered now, to this stack or to others; what was answered before is answered again.
        """
        if (stack, epoch) in self._verdicts:
            return [Answer(stack, epoch, self._verdicts[stack, epoch])]
        if (epoch, stack) not in self._heard:
            self._waiting[epoch, stack] = values
        return self._go_on()

    def ended(self, stack: int) -> list[Answer]:
        """Note that a stack sends no more results; returns what can be answered to others now."""
        if not self._ended[stack]:
            self._ended[stack] = True
            self._to_drop.add(stack)
        return self._go_on()

    def _go_on(self) -> list[Answer]:
        """Hear all that can be heard; each verdict may let others be heard."""
        answers: list[Answer] = []
        while self._hear_next(answers) or self._drop_next(answers):
            pass
        return answers

    def _hear_next(self, answers: list[Answer]) -> bool:
        for epoch, stack in sorted(self._waiting):
            if self._can_hear(epoch, stack):
                answers += self._hear(epoch, stack, self._waiting.pop((epoch, stack)))
                return True
        return False

    def _can_hear(self, epoch: int, stack: int) -> bool:
        own = stack not in self._open and not any(
            of == stack and before < epoch for before, of in self._waiting
        )
        return own and all(
            (epoch, lower) in self._heard or (self._ended[lower] and (epoch, lower) not in self._waiting)
            for lower in range(self._first, stack)
        )

    def _hear(self, epoch: int, stack: int, values: Mapping[int, float]) -> list[Answer]:
        self._heard.add((epoch, stack))
        self._open[stack] = epoch, values
        decided: dict[int, Decision] = {}
        for number in self._members[stack]:
            if number not in values:
                decided.update(self._scheduler.end(number))
        self._members[stack] = list(values)
        for number, value in values.items():
            decided.update(self._scheduler.report(number, epoch, value))
        return self._take(decided)

    def _drop_next(self, answers: list[Answer]) -> bool:
        """Drop the trials of a stack that has ended, once all its results are judged."""
        for stack in sorted(self._to_drop):
            if stack not in self._open and not any(of == stack for _, of in self._waiting):
                self._to_drop.remove(stack)
                decided: dict[int, Decision] = {}
                for number in self._members[stack]:
                    decided.update(self._scheduler.end(number))
                self._members[stack] = []
                answers += self._take(decided)
                self._pass(stack)
                return True
        return False

    def _pass(self, stack: int) -> None:
        """Nobody has to wait for a stack that has ended; its verdicts are kept, should they be asked for again."""
        for epoch in self._scheduler.rungs:
            self._heard.discard((epoch, stack))
        while (
            self._first < len(self._ended) and self._ended[self._first] and self._first not in self._to_drop
        ):
            self._first += 1

    def _take(self, decided: Mapping[int, Decision]) -> list[Answer]:
        """Note decisions, and return the verdicts of the stacks that lack none."""
        for number, decision in decided.items():
            self._known[number] = decision
            self._note(number, decision)
        complete = [
            stack for stack in sorted(self._open) if all(n in self._known for n in self._open[stack][1])
        ]
        self._events.commit()
        answers = []
        for stack in complete:
            epoch, values = self._open.pop(stack)
            decisions = {number: self._known.pop(number) for number in values}
            self._members[stack] = [number for number in values if not decisions[number].stop]
            verdicts = {
                n: Verdict(d.stop, d.rung, d.bracket, self._exploit(d.copy)) for n, d in decisions.items()
            }
            self._verdicts[stack, epoch] = verdicts
            answers.append(Answer(stack, epoch, verdicts))
        return answers

    def _exploit(self, copy: Copy | None) -> Exploit | None:
        return None if copy is None else Exploit(copy.source, self._stack_of[copy.source], copy.spec)

    def _note(self, number: int, decision: Decision) -> None:
        """Write a decision down, unless nothing was to be decided or it was written before."""
        if not decision.stop and decision.rung is None and decision.copy is None:
            return
        epoch, values = self._open[self._stack_of[number]]
        bracket, rung, of_trial = decision.bracket, decision.rung, trial_id(number)
        if rung is not None and (None, bracket, epoch) not in self._noted:
            self._noted.add((None, bracket, epoch))
            self._events.add("rung", epoch=epoch, bracket=bracket, rung=rung)
        if (of_trial, bracket, epoch) not in self._noted:
            kind = "stopped" if decision.stop else "exploited" if decision.copy else "promoted"
            self._events.add(
                kind,
                trial_id=of_trial,
                epoch=epoch,
                bracket=bracket,
                rung=rung,
                value=values[number],
                cutoff=decision.cutoff,
                detail=None if decision.copy is None else _detail(decision.copy),
            )


def _detail(copy: Copy) -> dict[str, Any]:
    return {"source": trial_id(copy.source), "before": dict(copy.before), "after": dict(copy.after)}
