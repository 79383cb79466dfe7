"""Planning: how long a sweep takes and what it needs, from what a stack of each shape costs.

Stacks take the slots in order, trials are stopped by the scheduler's own rule, and a stack waits at a rung until the
lower ones were judged there, as in a sweep; only the results are made up. Pure functions over numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from raydnn.search.stopping import Curves


@dataclass(frozen=True)
class Line:
    """Seconds of something done with N trials at once: fixed + each · N."""

    fixed_seconds: float
    each_seconds: float

    def at(self, trials: int) -> float:
        """Seconds for a number of trials."""
        return self.fixed_seconds + self.each_seconds * trials

    @classmethod
    def through(cls, few: tuple[int, float], many: tuple[int, float]) -> Line:
        """The line through two measurements (trials, seconds), neither falling nor below 0."""
        if few[0] == many[0]:
            return cls(0.0, many[1] / many[0])
        slope = max(0.0, (many[1] - few[1]) / (many[0] - few[0]))
        slope = min(slope, many[1] / many[0])
        return cls(many[1] - slope * many[0], slope)


@dataclass(frozen=True)
class Cost:
    """What training a stack of some shape costs."""

    start_seconds: float
    """Before the first epoch, besides the start of its process."""
    part: Line
    """An epoch of a part of the stack: its steps and the evaluation."""
    parts: int
    """Parts that are trained in turn."""
    recording: Line
    """Commit and checkpoint of the whole stack after an epoch."""
    end_seconds: float
    """After the last one, for each trial that was trained to the end."""

    def epoch_seconds(self, trials: int) -> float:
        """Seconds of an epoch of a stack that has some number of trials left, spread over its parts."""
        parts = min(self.parts, trials)
        return parts * self.part.fixed_seconds + trials * self.part.each_seconds + self.recording.at(trials)


@dataclass(frozen=True)
class Planned:
    """A stack that is to be trained."""

    shape: int
    """Which of the costs is its own."""
    trials: tuple[int, ...]
    """Numbers of its trials."""
    epochs: int
    """Their whole budget."""


@dataclass(frozen=True)
class Overhead:
    """What does not depend on the training: assumptions, not measurements of this plan."""

    start_seconds: float
    """From the command to the first process that starts: imports, Ray, Tune."""
    process_seconds: float
    """A training process until it trains: its start, torch, the data."""
    handout_seconds: float
    """A further stack for a process that is there."""
    rung_seconds: float
    """A result to the driver and its verdicts back."""
    end_seconds: float
    """From the last epoch to the prompt: compaction, Ray's end."""


@dataclass(frozen=True)
class Timetable:
    """What is expected of a sweep."""

    wall_seconds: float
    training_seconds: float
    """From the first process's readiness to the last stack's end."""
    epochs: int
    """Epochs of all trials together."""
    epochs_of_shape: tuple[int, ...]
    """Epochs of the stacks of each shape, a stack's epoch counted once: each is one commit."""

    @property
    def stack_epochs(self) -> int:
        """Epochs of all stacks together."""
        return sum(self.epochs_of_shape)


def made_up_curves(trials: Sequence[int], epochs: int, seed: int) -> Curves:
    """Curves as a plan assumes them: score q + u, both uniform in [0, 1), u drawn anew at each epoch.

    So good trials tend to stay good, and about one in eta goes on at every rung.

    Args:
        trials: Numbers in the order in which results are judged.
        epochs: The whole budget.
        seed: Seed of the draws.
    """
    draw = Random(seed)
    own = {trial: draw.random() for trial in trials}
    return {trial: [quality + draw.random() for _ in range(epochs)] for trial, quality in own.items()}


def timetable(
    generations: Sequence[Sequence[Planned]],
    stops: Mapping[int, int],
    costs: Sequence[Cost],
    slots: int,
    overhead: Overhead,
) -> Timetable:
    """When the stacks of a sweep begin and end.

    Args:
        generations: The stacks in the order in which they are handed out; a generation begins when all stacks of
            the one before have ended.
        stops: Trial → epoch after which the scheduler stops it.
        costs: Of each shape.
        slots: Stacks that are trained side by side.
        overhead: Fixed costs.
    """
    free = [0.0] * slots
    used = [False] * slots
    rungs = sorted(set(stops.values()))
    judged = dict.fromkeys(rungs, 0.0)
    begin = 0.0
    epochs = 0
    of_shape = [0] * len(costs)
    for generation in generations:
        for stack in generation:
            slot = min(range(slots), key=lambda place: (free[place], not used[place]))
            cost, alive = costs[stack.shape], len(stack.trials)
            ending = Counter(stops[trial] for trial in stack.trials if trial in stops)
            start = overhead.handout_seconds if used[slot] else overhead.process_seconds
            now = max(free[slot], begin) + start + cost.start_seconds
            used[slot] = True
            for epoch in range(1, stack.epochs + 1):
                now += cost.epoch_seconds(alive)
                epochs += alive
                of_shape[stack.shape] += 1
                if epoch in judged:
                    judged[epoch] = now = max(now, judged[epoch]) + overhead.rung_seconds
                    alive -= ending[epoch]
                if alive == 0:
                    break
            now += alive * cost.end_seconds
            judged = {rung: max(time, now) if rung > epoch else time for rung, time in judged.items()}
            free[slot] = now
        begin = max(free)
    ready = overhead.process_seconds if generations else 0.0
    wall = overhead.start_seconds + begin + overhead.end_seconds
    return Timetable(wall, begin - ready, epochs, tuple(of_shape))


def rung_table(stops: Mapping[int, int], trials: int) -> list[dict[str, int]]:
    """How many trials reach each rung and go on, by epoch; from what a scheduler stops."""
    rows = []
    reach = trials
    for epoch, stopped in sorted(Counter(stops.values()).items()):
        rows.append({"epoch": epoch, "trials": reach, "stopped": stopped, "go_on": reach - stopped})
        reach -= stopped
    return rows


def generation_sizes(trials: int, batches: Iterable[int]) -> list[int]:
    """Trials of each generation of an algorithm that learns.

    Args:
        trials: All of them.
        batches: How many it proposes at a time, at least as many in all.
    """
    sizes: list[int] = []
    for batch in batches:
        sizes.append(min(batch, trials - sum(sizes)))
        if sum(sizes) == trials:
            break
    return sizes
