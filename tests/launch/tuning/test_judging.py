"""Judging puts results to Ray's own scheduler in one order, whatever order they arrive in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import ParquetFile
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from raydnn.launch.schedulers.registry import Decision
from raydnn.launch.tuning.judging import SCHEDULERS, Answer, Judging, Noted, ray_scheduler
from raydnn.launch.tuning.replay import noted_verdicts, replay
from raydnn.search.packing import StackPlan
from raydnn.search.rungs import rungs
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Job
from raydnn.spec.search import Search
from raydnn.store.commit import EventLog, commit_epochs
from raydnn.store.read import read
from raydnn.store.run import Run, create_run
from raydnn.training.verdict import Verdict

METRIC = "validation_loss"


@dataclass(frozen=True)
class Sweep:
    """A sweep as a scheduler sees it."""

    mode: str
    min_epochs: int
    max_epochs: int
    eta: float
    stacks: tuple[tuple[int, ...], ...]
    """The trial numbers of each stack, in the stack's order."""
    values: dict[tuple[int, int], float]
    """(trial, epoch) → its result there, were it trained so far."""
    fails: dict[int, int]
    """Stack → epoch before which its training fails."""

    @property
    def plans(self) -> list[StackPlan]:
        trial: Any = None
        return [StackPlan(s, tuple((n, trial) for n in members)) for s, members in enumerate(self.stacks)]

    @property
    def rungs(self) -> tuple[int, ...]:
        return rungs(self.min_epochs, self.max_epochs, self.eta)

    def search(self) -> Search:
        asha = {"name": "asha", "min_epochs": self.min_epochs, "max_epochs": self.max_epochs, "eta": self.eta}
        return Search.model_validate(
            {"scheduler": asha, "trials": 1, "metric": METRIC, "mode": self.mode, "space": {"seed": 0}}
        )


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    min_epochs = draw(st.integers(1, 4))
    max_epochs = min_epochs + draw(st.integers(0, 24))
    eta = draw(st.sampled_from([1.5, 2.0, 3.0, 4.0]))
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    numbers = draw(st.permutations(range(sum(sizes))))
    ends = [sum(sizes[: position + 1]) for position in range(len(sizes))]
    stacks = tuple(tuple(numbers[end - size : end]) for size, end in zip(sizes, ends, strict=True))
    rng = draw(st.randoms(use_true_random=False))
    epochs = rungs(min_epochs, max_epochs, eta)
    # Few distinct values, so that ties with the cutoff occur.
    values = {(n, epoch): rng.randrange(-6, 7) / 4 for n in numbers for epoch in epochs}
    fails = draw(st.dictionaries(st.integers(0, len(sizes) - 1), st.integers(1, max_epochs), max_size=2))
    return Sweep(draw(st.sampled_from(["min", "max"])), min_epochs, max_epochs, eta, stacks, values, fails)


def alone(sweep: Sweep) -> tuple[dict[tuple[int, int], bool], dict[tuple[int, int], float]]:
    """What Ray's scheduler decides when it is fed by hand, in the order (epoch, stack, member).

    Returns:
        (trial, epoch) → whether it stops, and → the value it was judged by.
    """
    scheduler = ASHAScheduler(
        time_attr="training_iteration",
        metric="score",
        mode=sweep.mode,
        max_t=sweep.max_epochs,
        grace_period=sweep.min_epochs,
        reduction_factor=sweep.eta,
    )
    trials: dict[int, Any] = {n: SimpleNamespace(trial_id=str(n)) for stack in sweep.stacks for n in stack}
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)
    decided: dict[tuple[int, int], bool] = {}
    running = {stack: list(members) for stack, members in enumerate(sweep.stacks)}
    for epoch in sweep.rungs:
        for stack, members in running.items():
            if epoch >= sweep.fails.get(stack, epoch + 1):
                continue
            for number in list(members):
                result = {"training_iteration": epoch, "score": sweep.values[number, epoch]}
                decision = scheduler.on_trial_result(None, trials[number], result)
                decided[number, epoch] = decision == TrialScheduler.STOP
                if decided[number, epoch]:
                    members.remove(number)
    return decided, {key: sweep.values[key] for key in decided}


class Memory:
    """Events in memory, as `EventLog` takes them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.committed = 0

    def add(self, kind: str, **columns: Any) -> None:
        self.rows.append({"kind": kind, **columns})

    def commit(self) -> None:
        self.committed = len(self.rows)


class Workers:
    """The processes that train the stacks: each waits for its verdicts before it goes on."""

    def __init__(
        self, sweep: Sweep, events: Any, noted: set[Noted] | None = None, expect: bool = True
    ) -> None:
        self.sweep = sweep
        self.events = events
        scheduler: Any = ray_scheduler(sweep.search(), sweep.max_epochs, 0)
        self.fed: list[float] = []
        report = scheduler.report

        def feed(number: int, epoch: int, value: float) -> Mapping[int, Decision]:
            self.fed.append(value)
            decided: Mapping[int, Decision] = report(number, epoch, value)
            return decided

        scheduler.report = feed
        self.scheduler = scheduler
        self.judging = Judging(scheduler, events, noted or set())
        if expect:
            self.judging.expect(sweep.plans)
        self.members = [list(members) for members in sweep.stacks]
        self.next_rung = [0] * len(sweep.stacks)
        self.waiting = [False] * len(sweep.stacks)
        self.over = [False] * len(sweep.stacks)
        self.decided: dict[tuple[int, int], bool] = {}
        self.reported: dict[tuple[int, int], dict[int, float]] = {}
        self.answers: list[tuple[int, int]] = []

    def take(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self.take_one(*answer)

    def take_one(self, stack: int, epoch: int, verdicts: Mapping[int, Verdict]) -> None:
        assert not isinstance(self.events, Memory) or self.events.committed == len(self.events.rows)
        self.answers.append((stack, epoch))
        for number, verdict in verdicts.items():
            assert verdict.bracket == 0
            assert verdict.rung is not None
            assert self.sweep.rungs[verdict.rung] == epoch
            assert self.decided.setdefault((number, epoch), verdict.stop) == verdict.stop
        if self.waiting[stack] and epoch == self.sweep.rungs[self.next_rung[stack]]:
            stopped = {number for number, verdict in verdicts.items() if verdict.stop}
            self.members[stack] = [number for number in self.members[stack] if number not in stopped]
            self.next_rung[stack] += 1
            self.waiting[stack] = False

    def can_go(self) -> list[int]:
        """The stacks that are in training."""
        return [s for s in range(len(self.members)) if not self.over[s] and not self.waiting[s]]

    def go(self, stack: int) -> None:
        """Train a stack to its next rung, or to its end."""
        rung = self.next_rung[stack]
        epoch = self.sweep.rungs[rung] if rung < len(self.sweep.rungs) else self.sweep.max_epochs + 1
        if not self.members[stack] or epoch >= min(
            self.sweep.fails.get(stack, epoch + 1), self.sweep.max_epochs
        ):
            self.over[stack] = True
            self.take(self.judging.ended(stack))
        else:
            self.waiting[stack] = True
            self.report(stack, epoch)

    def report(self, stack: int, epoch: int) -> None:
        self.reported[stack, epoch] = {n: self.sweep.values[n, epoch] for n in self.members[stack]}
        self.take(self.judging.result(stack, epoch, self.reported[stack, epoch]))

    def finish(self, choose: Callable[[list[int]], int]) -> None:
        """Train everything; fails if all that is left waits for one another."""
        while not all(self.over):
            able = self.can_go()
            assert able, "deadlock: every stack that is left waits for its verdicts"
            self.go(choose(able))


@settings(max_examples=150, deadline=None)
@given(sweeps(), st.randoms(use_true_random=False))
def test_any_interleaving_gives_the_verdicts_of_rays_scheduler_fed_in_order(
    sweep: Sweep, rng: Random
) -> None:
    expected, _ = alone(sweep)
    events = Memory()
    workers = Workers(sweep, events)
    workers.finish(rng.choice)
    assert workers.decided == expected
    verdicts = [row for row in events.rows if row["kind"] != "rung"]
    noted = {(row["trial_id"], row["epoch"]): row["kind"] for row in verdicts}
    assert len(noted) == len(verdicts)
    reached = [row["epoch"] for row in events.rows if row["kind"] == "rung"]
    assert sorted(reached) == sorted({epoch for _, epoch in expected})
    assert noted == {
        (f"t{number:05d}", epoch): "stopped" if stop else "promoted"
        for (number, epoch), stop in expected.items()
    }


@settings(max_examples=100, deadline=None)
@given(sweeps(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_few_slots_do_not_block_one_another(sweep: Sweep, rng: Random, slots: int) -> None:
    """As many stacks at a time as there are slots, lowest number first; a slot is kept until its stack ends."""
    workers = Workers(sweep, Memory())

    def choose(able: list[int]) -> int:
        started = [s for s in range(len(sweep.stacks)) if not workers.over[s]][:slots]
        return rng.choice([s for s in able if s in started])

    workers.finish(choose)
    assert workers.decided == alone(sweep)[0]


@settings(max_examples=100, deadline=None)
@given(sweeps(), st.randoms(use_true_random=False))
def test_a_report_told_again_is_answered_again_and_judged_once(sweep: Sweep, rng: Random) -> None:
    events = Memory()
    workers = Workers(sweep, events)

    def choose(able: list[int]) -> int:
        for stack in rng.sample(range(len(sweep.stacks)), len(sweep.stacks)):
            # A process that died and starts again tells its last rung again, judged or still waiting.
            done = [epoch for (s, epoch) in workers.answers if s == stack]
            if workers.waiting[stack]:
                workers.report(stack, sweep.rungs[workers.next_rung[stack]])
            elif done:
                before = len(workers.answers)
                workers.take(workers.judging.result(stack, done[-1], workers.reported[stack, done[-1]]))
                assert workers.answers[before:] == [(stack, done[-1])]
        return rng.choice(able)

    workers.finish(choose)
    assert workers.decided == alone(sweep)[0]
    assert sum(row["kind"] != "rung" for row in events.rows) == len(workers.decided)


@settings(max_examples=100, deadline=None)
@given(sweeps())
def test_events_hold_rung_value_and_the_cutoff_the_verdict_follows_from(sweep: Sweep) -> None:
    events = Memory()
    Workers(sweep, events).finish(lambda able: able[0])
    _, values = alone(sweep)
    sign = 1 if sweep.mode == "max" else -1
    verdicts = [row for row in events.rows if row["kind"] != "rung"]
    for row in verdicts:
        number = int(row["trial_id"][1:])
        assert row["value"] == values[number, row["epoch"]]
        assert sweep.rungs[row["rung"]] == row["epoch"]
        assert row["bracket"] == 0
        worse = row["cutoff"] is not None and sign * row["value"] < sign * row["cutoff"]
        assert (row["kind"] == "stopped") == worse
    first = [row for row in verdicts if row["cutoff"] is None]
    assert len(first) == len({row["epoch"] for row in verdicts})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Run]:
    folder = tmp_path_factory.mktemp("storage")
    names = iter(range(1_000_000))

    def make() -> Run:
        resolved = {"metric": METRIC, "mode": "min", "command": "sweep", "job": {}}
        return create_run(str(folder), f"r{next(names)}", "", resolved)

    return make


@settings(max_examples=15, deadline=None)
@given(sweeps(), st.randoms(use_true_random=False), st.integers(0, 12), st.booleans())
def test_a_sweep_replayed_from_the_store_decides_as_before(
    stored: Callable[[], Run], sweep: Sweep, rng: Random, steps: int, lost: bool
) -> None:
    """The driver dies after some steps; another one replays the store and the stacks go on from their rungs.

    Where files of `epochs` are lost, what was judged is known from `events`.
    """
    run = stored()

    class Committing(Workers):
        def report(self, stack: int, epoch: int) -> None:
            # A loss that is not finite ends its trial before anyone is told.
            losses = {n: float("nan") if n % 7 == 6 else 0.5 for n in self.members[stack]}
            rows = [
                {
                    "trial_id": f"t{n:05d}",
                    "epoch": epoch,
                    "train_loss": loss,
                    METRIC: sweep.values[n, epoch],
                }
                for n, loss in losses.items()
            ]
            if isinstance(self.events, EventLog):
                commit_epochs(run, stack, 1, rows)
            self.members[stack] = [n for n, loss in losses.items() if isfinite(loss)]
            if self.members[stack]:
                super().report(stack, epoch)
            else:
                self.waiting[stack] = False

    first = Committing(sweep, EventLog(run))
    for _ in range(steps):
        if able := first.can_go():
            first.go(rng.choice(able))

    for file in run.local_path("epochs").glob("*.parquet"):
        rows = ParquetFile(file).read(["trial_id", "epoch", "train_loss"]).to_pylist()
        finite = [(int(row["trial_id"][1:]), row["epoch"]) for row in rows if isfinite(row["train_loss"])]
        if lost and all(key in first.decided for key in finite):
            file.unlink()

    second = Committing(sweep, EventLog(run), noted_verdicts(run), expect=False)
    second.members, second.next_rung, second.over = first.members, first.next_rung, list(first.over)
    done = {stack for stack, over in enumerate(first.over) if over}
    second.take(replay(run, [sweep.plans], done, second.scheduler, second.judging, METRIC))
    assert all(isfinite(value) for value in second.fed)
    for stack, waits in enumerate(first.waiting):
        if waits:
            # It told its rung to a driver that is gone, and tells it again.
            second.waiting[stack] = True
            Workers.report(second, stack, sweep.rungs[second.next_rung[stack]])
    second.finish(rng.choice)

    undisturbed = Committing(sweep, Memory())
    undisturbed.finish(lambda able: able[0])
    assert first.decided.items() <= second.decided.items()
    assert second.decided == undisturbed.decided
    noted = read(run.location, "events").to_pylist()
    assert sorted((row["trial_id"], row["epoch"]) for row in noted if row["trial_id"]) == sorted(
        (f"t{number:05d}", epoch) for number, epoch in second.decided
    )


def test_every_scheduler_of_the_catalogue_is_there() -> None:
    assert set(SCHEDULERS) == set(components("scheduler"))


def test_without_a_scheduler_nobody_judges() -> None:
    job = Job.model_validate(
        {
            "name": "x",
            "data": {"name": "digits", "validation_fraction": 0.2},
            "optimizer": "sgd",
            "search": {"trials": 1, "space": {"optimizer.lr": "uniform(0, 1)"}},
        }
    )
    assert job.search is not None
    assert ray_scheduler(job.search, 10, 0) is None
