"""Stacks that wait for one another's verdicts: never a stall, and the same verdicts on any number of slots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.launch.schedulers.population import RayPopulation
from raydnn.launch.tuning.judging import Judging, Noted, ray_scheduler
from raydnn.launch.tuning.queue import PATIENCE_SECONDS, StackQueue
from raydnn.launch.tuning.replay import noted_verdicts, replay
from raydnn.search.packing import StackPlan
from raydnn.space.space import build_space
from raydnn.space.trial import make_trial
from raydnn.spec.algorithm import Pbt
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.search import Search
from raydnn.store.commit import EventLog, commit_epochs
from raydnn.store.read import read
from raydnn.store.run import Run, create_run
from raydnn.training.verdict import Verdict

METRIC = "validation_loss"
JOB = Job.model_validate(
    {
        "name": "x",
        "data": "digits",
        "optimizer": "sgd",
        "search": {"algorithm": "pbt", "trials": 2, "space": {"optimizer.lr": "uniform(0.1, 1)"}},
    }
)
SPACE = build_space(JOB, Positions({}))
TRIAL = make_trial(JOB, {"optimizer.lr": 0.5})
"""What all trials of a population begin with."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as driver and workers see it."""

    scheduler: Mapping[str, Any]
    """The scheduler, or the algorithm pbt."""
    max_epochs: int
    generations: tuple[tuple[tuple[int, ...], ...], ...]
    """Generation → stack → trials."""
    values: Mapping[tuple[int, int], float]
    """(trial, epoch) → its result."""
    ends: Mapping[int, int]
    """Trial → the epoch at which it ends by itself, early stopped or diverged."""
    fails: Mapping[int, int]
    """Stack → the epoch before which it fails for good."""

    @property
    def plans(self) -> list[list[StackPlan]]:
        numbers = iter(range(1000))
        return [
            [StackPlan(next(numbers), tuple((n, TRIAL) for n in members)) for members in generation]
            for generation in self.generations
        ]


@dataclass
class Stack:
    """What a process keeps of the stack that it trains, or its checkpoint."""

    members: list[int]
    epoch: int = 0
    waits: bool = False


@dataclass
class Sim:
    """A driver and its slots, without Ray: what happens when is drawn at random."""

    sweep: Sweep
    slots: int
    rng: Random
    events: Any = field(
        default_factory=lambda: SimpleNamespace(add=lambda *_, **__: None, commit=lambda: None)
    )
    noted: set[Noted] = field(default_factory=set)
    run: Run | None = None
    stacks: dict[int, Stack] = field(default_factory=dict)
    decided: dict[Any, Any] = field(default_factory=dict)
    """Trial → epoch at which it was stopped; (trial, epoch) → trial that it copied, and its learning rate then."""
    over: set[int] = field(default_factory=set)
    begun: int = 1
    """Generations that are proposed."""
    gave_way: int = 0

    def __post_init__(self) -> None:
        scheduler = self.scheduler()
        self.rungs = scheduler.rungs
        self.kv: dict[tuple[int, int], Mapping[int, Verdict] | None] = {}
        self.plans = {plan.number: plan for plans in self.sweep.plans for plan in plans}
        begun = self.sweep.plans[: self.begun]
        todo = [plan.number for plans in begun for plan in plans if plan.number not in self.over]
        self.judging = Judging(scheduler, self.events, self.noted)
        self.queue = StackQueue(
            todo,
            lambda: self.slots,
            self.follow,
            lambda: self.begun == len(self.sweep.plans),
            self.put,
            self.judging,
        )
        if self.run is None:
            self.judging.expect(begun[0])
        else:
            self.queue.answer(replay(self.run, begun, self.over, scheduler, self.judging, METRIC))
        self.training: set[int] = set()
        self.lost: list[int] = []

    def scheduler(self) -> Any:
        given = self.sweep.scheduler
        if given["name"] == "pbt":
            train = JOB.train.model_copy(update={"epochs": self.sweep.max_epochs})
            job, spec = JOB.model_copy(update={"train": train}), Pbt.model_validate(given)
            return RayPopulation(job, spec, SPACE, [plan for plans in self.sweep.plans for plan in plans])
        search = Search.model_validate(
            {"scheduler": given, "trials": 1, "metric": METRIC, "space": {"seed": 0}}
        )
        return ray_scheduler(search, self.sweep.max_epochs, 0)

    def follow(self) -> list[int]:
        assert not self.training
        plans = self.sweep.plans[self.begun]
        self.begun += 1
        self.judging.expect(plans)
        return [plan.number for plan in plans]

    def put(self, stack: int, epoch: int, verdicts: Mapping[int, Verdict] | None) -> None:
        self.kv[stack, epoch] = verdicts

    def step(self) -> bool:
        """Let something happen; False when the sweep is over."""
        self.queue.make_room()
        while self.lost and len(self.training) < self.slots:
            self.start(self.lost.pop(0))
        while (number := self.queue.next()) is not None:
            assert len(self.training) + len(self.lost) < self.slots
            self.start(number)
        able = [n for n in sorted(self.training) if not self.stacks[n].waits or self.answered(n)]
        if not able:
            assert self.queue.finished, f"stall: {self.stacks}"
            return False
        self.go(self.rng.choice(able))
        return True

    def start(self, number: int) -> None:
        """A stack gets a process; one that was trained before tells its last results again."""
        assert number not in self.training
        self.training.add(number)
        self.queue.started(number)
        begins = number not in self.stacks
        stack = self.stacks.setdefault(number, Stack([n for n, _ in self.plans[number].trials]))
        if not begins:
            self.tell(number, stack)

    def lose(self, slots: int) -> None:
        """Machines are lost, with what they train, down to some slots."""
        self.slots = slots
        for number in self.rng.sample(sorted(self.training), max(len(self.training) - slots, 0)):
            self.training.remove(number)
            self.lost.append(number)
            self.queue.lost(number)

    def answered(self, number: int) -> bool:
        return (number, self.stacks[number].epoch) in self.kv

    def go(self, number: int) -> None:
        """A stack takes its answer, or trains to its next rung or its end."""
        stack = self.stacks[number]
        if stack.waits:
            verdicts = self.kv[number, stack.epoch]
            stack.waits = False
            if verdicts is None:
                self.training.remove(number)
                self.gave_way += 1
                self.queue.gave_way(number)
                return
            assert set(verdicts) == set(self.running(stack))
            self.decided |= {n: stack.epoch for n, verdict in verdicts.items() if verdict.stop}
            for n, verdict in verdicts.items():
                if verdict.exploit is not None:
                    source, rate = verdict.exploit.source, verdict.exploit.spec.optimizer.lr
                    self.decided[n, stack.epoch] = source, rate
                    # The state that is copied is there, and still there.
                    of_source = self.stacks[verdict.exploit.stack]
                    assert source in of_source.members
                    passed = [epoch for epoch in self.rungs if epoch <= of_source.epoch]
                    assert stack.epoch in passed[-2:]
            stack.members = [n for n, verdict in verdicts.items() if not verdict.stop]
        later = (epoch for epoch in self.rungs if epoch > stack.epoch)
        epoch = next(later, self.sweep.max_epochs)
        fails = epoch >= self.sweep.fails.get(number, epoch + 1)
        stack.epoch = epoch
        if fails or epoch == self.sweep.max_epochs or not self.running(stack):
            self.training.remove(number)
            self.over.add(number)
            self.queue.ended(number)
        else:
            self.commit(number, stack)
            self.tell(number, stack)

    def running(self, stack: Stack) -> list[int]:
        return [n for n in stack.members if self.sweep.ends.get(n, stack.epoch + 1) > stack.epoch]

    def commit(self, number: int, stack: Stack) -> None:
        if self.run is not None:
            rows = [
                {
                    "trial_id": f"t{n:05d}",
                    "epoch": stack.epoch,
                    "train_loss": 0.5 if n in self.running(stack) else float("nan"),
                    METRIC: self.sweep.values[n, stack.epoch],
                }
                for n in stack.members
            ]
            commit_epochs(self.run, number, 1, rows)

    def tell(self, number: int, stack: Stack) -> None:
        if stack.epoch:
            stack.waits = True
            values = {n: self.sweep.values[n, stack.epoch] for n in self.running(stack)}
            self.queue.result(number, stack.epoch, values)

    def finish(self) -> dict[Any, Any]:
        for _ in range(100_000):
            if not self.step():
                return self.decided
        raise AssertionError("it goes on for ever")


@st.composite
def sweeps(draw: st.DrawFn, fails: bool = True) -> Sweep:
    max_epochs = draw(st.integers(1, 30))
    eta = draw(st.sampled_from([1.3, 1.5, 2.0, 2.5, 3.0, 4.0]))
    minimum = draw(st.integers(1, max_epochs))
    scheduler = draw(
        st.sampled_from(
            [
                {"name": "hyperband", "eta": eta},
                {"name": "hyperband", "eta": eta},
                {"name": "bohb", "eta": eta},
                {"name": "asha", "eta": eta, "min_epochs": minimum, "brackets": draw(st.integers(1, 3))},
                {"name": "median", "min_epochs": minimum, "min_trials": draw(st.integers(1, 3))},
                {
                    "name": "pbt",
                    "interval_epochs": minimum,
                    "quantile": draw(st.sampled_from([0.01, 0.25, 0.4, 0.5])),
                },
            ]
        )
    )
    rng = draw(st.randoms(use_true_random=False))
    generations, first = [], 0
    for sizes in draw(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=7), min_size=1, max_size=3)):
        numbers = list(range(first, first + sum(sizes)))
        rng.shuffle(numbers)
        ends = [sum(sizes[: position + 1]) for position in range(len(sizes))]
        generations.append(
            tuple(tuple(numbers[end - size : end]) for size, end in zip(sizes, ends, strict=True))
        )
        first += sum(sizes)
    values = {(n, epoch): rng.randrange(20) / 4 for n in range(first) for epoch in range(1, max_epochs + 1)}
    own = {n: rng.randint(1, max_epochs) for n in range(first) if rng.random() < 0.2}
    stacks = sum(len(generation) for generation in generations)
    failing = {s: rng.randint(1, max_epochs) for s in range(stacks) if fails and rng.random() < 0.1}
    return Sweep(scheduler, max_epochs, tuple(generations), values, own, failing)


@settings(max_examples=70, deadline=2000)
@given(sweeps(), st.integers(1, 8), st.randoms(use_true_random=False))
def test_no_number_of_slots_stalls_or_changes_a_verdict(sweep: Sweep, slots: int, rng: Random) -> None:
    many = Sim(sweep, 1000, rng)
    expected = many.finish()
    assert many.gave_way == 0
    assert Sim(sweep, slots, rng).finish() == expected
    assert Sim(sweep, 1, rng).finish() == expected


@settings(max_examples=70, deadline=2000)
@given(
    sweeps(),
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 8)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_machines_that_are_lost_and_join_stall_nothing_and_change_no_verdict(
    sweep: Sweep, courses: list[tuple[int, int]], rng: Random
) -> None:
    sim = Sim(sweep, 8, rng)
    for steps, slots in courses:
        for _ in range(steps):
            if not sim.step():
                break
        sim.lose(slots)
    assert sim.finish() == Sim(sweep, 1000, rng).finish()


def one_by_one(scheduler: Mapping[str, Any], stacks: int, slots: int) -> Sim:
    """A sweep of nine epochs whose stacks have a trial each, the first one the best."""
    values = {(n, epoch): float(n) for n in range(stacks) for epoch in range(1, 10)}
    return Sim(Sweep(scheduler, 9, (tuple((n,) for n in range(stacks)),), values, {}, {}), slots, Random(0))


@pytest.mark.parametrize("name", ["asha", "median", "hyperband", "bohb"])
def test_the_only_slot_left_goes_to_the_stack_that_the_waiting_one_waits_for(name: str) -> None:
    """Two stacks on two machines: stack 1 waits at its rung for stack 0, whose machine is lost."""
    sim = one_by_one({"name": name}, 2, 2)
    sim.start(sim.queue.next() or 0)
    sim.start(sim.queue.next() or 0)
    sim.go(1)
    sim.training.remove(0)
    sim.lost.append(0)
    sim.slots = 1
    sim.queue.lost(0)
    assert sim.kv == {(1, sim.stacks[1].epoch): None}
    sim.go(1)
    assert sim.training == set()
    assert sim.queue.next() is None  # the slot is the lost one's
    sim.finish()
    assert sim.over == {0, 1}


def test_a_stack_that_was_lost_while_it_waited_is_not_counted_on_to_give_way() -> None:
    sim = one_by_one({"name": "bohb"}, 4, 4)
    for _ in range(4):
        sim.start(sim.queue.next() or 0)
    for stack in (0, 1, 2):
        sim.go(stack)
    for stack in (0, 3):
        sim.training.remove(stack)
        sim.lost.append(stack)
    sim.slots = 2
    sim.queue.lost(0)
    sim.queue.lost(3)
    assert {stack for stack, _ in sim.kv} == {1, 2}


def test_a_stack_that_finds_no_slot_for_long_is_given_one() -> None:
    """Somebody else's work takes what is counted as a slot."""
    sim = one_by_one({"name": "bohb"}, 2, 2)
    now = [0.0]
    sim.queue._clock = lambda: now[0]
    sim.start(sim.queue.next() or 0)
    assert sim.queue.next() == 1
    sim.go(0)
    sim.queue.make_room()
    assert sim.kv == {}
    now[0] = 1.1 * PATIENCE_SECONDS
    sim.queue.make_room()
    assert sim.kv == {(0, sim.stacks[0].epoch): None}


def test_machines_that_join_get_stacks_at_the_next_turn() -> None:
    sim = one_by_one({"name": "asha"}, 6, 2)
    assert [sim.queue.next() for _ in range(3)] == [0, 1, None]
    sim.slots = 5
    assert [sim.queue.next() for _ in range(4)] == [2, 3, 4, None]


@settings(max_examples=25, deadline=2000)
@given(sweeps(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_only_a_scheduler_that_lets_trials_wait_makes_stacks_give_way(
    sweep: Sweep, slots: int, rng: Random
) -> None:
    sim = Sim(sweep, slots, rng)
    sim.finish()
    assert sim.gave_way == 0 or sweep.scheduler["name"] in ("hyperband", "bohb", "pbt")


def test_a_population_of_more_stacks_than_slots_gives_way_before_it_copies() -> None:
    values = {(n, epoch): float(n) for n in range(9) for epoch in range(1, 10)}
    stacks = tuple((n,) for n in range(9))
    given = {"name": "pbt", "interval_epochs": 4}
    sim = Sim(Sweep(given, 9, (stacks,), values, {}, {}), 2, Random(0))
    decided = sim.finish()
    assert {key: source < 3 for key, (source, _) in decided.items()} == {
        (n, epoch): True for n in (6, 7, 8) for epoch in (4, 8)
    }
    assert all(0.1 <= rate < 1 for _, rate in decided.values())
    assert sim.gave_way >= 7


def test_a_bracket_of_more_stacks_than_slots_gives_way_at_its_rung() -> None:
    """Nine trials in stacks of one on two slots: seven find no slot before others have left theirs."""
    values = {(n, epoch): float(n) for n in range(9) for epoch in range(1, 10)}
    stacks = tuple((n,) for n in range(9))
    sim = Sim(Sweep({"name": "bohb", "eta": 3.0}, 9, (stacks,), values, {}, {}), 2, Random(0))
    assert sim.finish() == dict.fromkeys(range(3, 9), 1) | {1: 3, 2: 3}
    assert 7 <= sim.gave_way <= 9


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("storage"))


NAMES = iter(range(1_000_000))


@settings(max_examples=8, deadline=None)
@given(sweeps(fails=False), st.integers(1, 3), st.integers(0, 25), st.randoms(use_true_random=False))
def test_a_sweep_whose_driver_dies_decides_as_one_that_was_not_disturbed(
    storage: str, sweep: Sweep, slots: int, steps: int, rng: Random
) -> None:
    expected = Sim(sweep, 1000, rng).finish()
    resolved = {"metric": METRIC, "mode": "min", "command": "sweep", "job": {}}
    run = create_run(storage, f"r{next(NAMES)}", "", resolved)
    first = Sim(sweep, slots, rng, EventLog(run), set(), run)
    for _ in range(steps):
        if not first.step():
            break
    stacks = {number: Stack(list(stack.members), stack.epoch) for number, stack in first.stacks.items()}
    second = Sim(
        sweep,
        slots,
        rng,
        EventLog(run),
        noted_verdicts(run),
        run,
        stacks,
        dict(first.decided),
        set(first.over),
        first.begun,
    )
    assert second.finish() == expected
    rows = read(run.location, "events").to_pylist()
    noted: dict[Any, Any] = {
        int(row["trial_id"][1:]): row["epoch"] for row in rows if row["kind"] == "stopped"
    }
    for row in rows:
        if row["kind"] == "exploited":
            detail = json.loads(row["detail"])
            copied = int(detail["source"][1:]), detail["after"]["optimizer.lr"]
            noted[int(row["trial_id"][1:]), row["epoch"]] = copied
    assert noted == expected
    keys = [(row["kind"], row["trial_id"], row["bracket"], row["epoch"]) for row in rows]
    assert len(keys) == len(set(keys))
