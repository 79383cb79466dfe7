"""Replay: what each scheduler would have made of a sweep whose trials were all trained to their ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from raydnn.errors import UsageError
from raydnn.search.algorithms.registry import UP_FRONT
from raydnn.search.packing import pack
from raydnn.search.stopping import RULES
from raydnn.spec.base import Component
from raydnn.spec.job import SweepJob
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.states import OPEN, State
from raydnn.training.stack.member import MUST_BE_FINITE, trial_id


@dataclass(frozen=True)
class Recorded:
    """A sweep's whole learning curves."""

    metric: str
    mode: str
    curves: dict[int, list[float]]
    """Trial → the metric after each epoch, as far as it and the losses are finite; in the order of judging. Where a
    configuration has several seeds, its first trial has their mean, by which a scheduler judges them."""
    finished: frozenset[int]
    """Trials that were trained to their ends; the others diverged or failed there."""
    max_epochs: int
    """A trial's whole budget."""
    trained: dict[int, list[int]]
    """Trial → epochs that each trial of its configuration was trained, that in which it diverged among them."""

    @property
    def sign(self) -> int:
        """1 where less is better, −1 where more is."""
        return 1 if self.mode == "min" else -1


@dataclass(frozen=True)
class Replayed:
    """What a scheduler would have made of a sweep."""

    scheduler: str
    stopped_at: dict[int, int]
    """Trial → epoch after which it would have been stopped."""
    epochs: int
    """Epochs that would have been trained."""
    saved: float
    """Share of the epochs that would not."""
    picked: int | None
    """The trial it would have ranked first; None where none could be ranked."""
    value: float | None
    """The best value that one would have reached."""
    rank: int | None
    """Its rank among the whole curves, from 1."""
    regret: float | None
    """How much worse that value is than the best of all whole curves."""

    def row(self) -> dict[str, object]:
        """The columns of a table."""
        stopped = sorted(Counter(self.stopped_at.values()).items())
        return {
            "scheduler": self.scheduler,
            "stopped": len(self.stopped_at),
            "stopped_at": ", ".join(f"{count} at {epoch}" for epoch, count in stopped),
            "epochs": self.epochs,
            "saved": self.saved,
            "picked": None if self.picked is None else trial_id(self.picked),
            "value": self.value,
            "rank": self.rank,
            "regret": self.regret,
        }


def recorded(run: Run) -> Recorded:
    """Read a sweep's curves.

    Raises:
        UsageError: It is no sweep, is not over, or had a scheduler that stopped trials.
    """
    resolved = run.resolved()
    if resolved.get("command") != "sweep":
        raise UsageError(f"run {run.run_id} is a {resolved.get('command')}; only a sweep can be replayed")
    job = run.sweep_job()
    columns = ["number", "state", "config_json", "seed", "stage"]
    every = sorted(read(run.location, "trials", columns).to_pylist(), key=lambda row: row["number"])
    trials = [row for row in every if row["stage"] != "confirm"]
    states = {row["number"]: row["state"] for row in trials}
    _check_whole(run, job, [row["state"] for row in every])
    specs = [TrialSpec.from_json(row["config_json"]) for row in trials]
    order = list(states)
    if job.search.algorithm.name in UP_FRONT:
        # As the sweep itself was judged; the generations of an algorithm that learns are not in the store.
        stacks = pack(specs, job.search.stack, together=job.search.repeats)
        order = [order[number] for stack in stacks for number, _ in stack.trials]
    curves: dict[int, list[float]] = {number: [] for number in order}
    epochs = dict.fromkeys(order, 0)
    ended: set[str] = set()
    number_of = {trial_id(number): number for number in order}
    table = read(run.location, "epochs", ["trial_id", "epoch", run.metric, *MUST_BE_FINITE])
    for row in sorted(table.to_pylist(), key=lambda row: (row["trial_id"], row["epoch"])):
        if row["trial_id"] not in number_of:
            continue
        number = number_of[row["trial_id"]]
        epochs[number] += 1
        if not all(isfinite(row[name]) for name in (*MUST_BE_FINITE, run.metric)):
            ended.add(row["trial_id"])
        elif row["trial_id"] not in ended:
            curves[number].append(row[run.metric])
    finished = frozenset(number for number, state in states.items() if state == State.COMPLETED)
    trained = {number: [count] for number, count in epochs.items()}
    if job.search.repeats > 1:
        curves, finished, trained = _together(curves, finished, trained, list(states), job.search.repeats)
    return Recorded(run.metric, run.mode, curves, finished, max(spec.train.epochs for spec in specs), trained)


def replay(sweep: Recorded, scheduler: Component) -> Replayed:
    """Put a sweep's curves to a scheduler.

    Args:
        sweep: The curves.
        scheduler: Its spec; its own `max_epochs` does not count, for the curves end where they do.
    """
    scores = {trial: [sweep.sign * value for value in curve] for trial, curve in sweep.curves.items()}
    stopped_at = RULES[scheduler.name](scheduler, scores, sweep.max_epochs)
    # A verdict after a trial's last epoch changes nothing where it was trained to its end.
    stopped_at = {
        trial: epoch
        for trial, epoch in stopped_at.items()
        if epoch < len(scores[trial]) or trial not in sweep.finished
    }
    epochs = sum(
        min(own, stopped_at.get(trial, own)) for trial, each in sweep.trained.items() for own in each
    )
    whole = sum(map(sum, sweep.trained.values()))
    best = {
        trial: min(curve[: stopped_at.get(trial)])
        for trial, curve in scores.items()
        if curve and (trial in sweep.finished or trial in stopped_at)
    }
    full = sorted((min(scores[trial]), trial) for trial in sweep.finished if scores[trial])
    if not best or not full:
        return Replayed(
            scheduler.name, stopped_at, epochs, 1 - epochs / max(whole, 1), None, None, None, None
        )
    value, picked = min((score, trial) for trial, score in best.items())
    rank = next((place for place, (_, trial) in enumerate(full, 1) if trial == picked), None)
    regret = max(0.0, value - full[0][0])
    return Replayed(
        scheduler.name, stopped_at, epochs, 1 - epochs / whole, picked, sweep.sign * value, rank, regret
    )


def _together(
    curves: Mapping[int, Sequence[float]],
    finished: Set[int],
    trained: Mapping[int, Sequence[int]],
    numbers: Sequence[int],
    repeats: int,
) -> tuple[dict[int, list[float]], frozenset[int], dict[int, list[int]]]:
    """Of configurations: their curves, each a mean over its trials that were trained so far; which are finished; and
    how long their trials were trained."""
    leader = {number: numbers[place - place % repeats] for place, number in enumerate(numbers)}
    groups: dict[int, list[int]] = {}
    for number in curves:
        groups.setdefault(leader[number], []).append(number)
    means = {}
    for first, own in groups.items():
        longest = max(len(curves[number]) for number in own)
        means[first] = [
            fmean(curves[number][epoch] for number in own if len(curves[number]) > epoch)
            for epoch in range(longest)
        ]
    return (
        means,
        frozenset(first for first, own in groups.items() if finished >= set(own)),
        {first: [count for number in own for count in trained[number]] for first, own in groups.items()},
    )


def _check_whole(run: Run, job: SweepJob, states: Sequence[str]) -> None:
    scheduler = job.search.scheduler.name
    if job.search.algorithm.name == "pbt":
        raise UsageError(
            f"run {run.run_id}: pbt let its trials copy one another, so that no curve is one configuration's; "
            "replay needs a sweep with another algorithm"
        )
    if State.STOPPED in states:
        raise UsageError(
            f"run {run.run_id}: {scheduler} stopped {states.count(State.STOPPED)} of its trials, so that their "
            "curves are not whole; replay needs a sweep with search.scheduler=none"
        )
    going = [state for state in states if state in OPEN]
    if going or not states:
        raise UsageError(
            f"run {run.run_id}: {len(going)} of its trials have not ended; replay needs a whole sweep"
        )
