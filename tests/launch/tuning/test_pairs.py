"""Every search algorithm with every scheduler, on real training, by the engine in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

import pytest

from raydnn.errors import JobError
from raydnn.launch.engine.in_process import InProcess
from raydnn.launch.runs.runs import begin
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.tuning.sweep import sweep_run
from raydnn.search.algorithms.registry import generations
from raydnn.space.space import build_space
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.contradictions import cross_field_problems
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.store.parts import read_parts
from raydnn.store.read import read

EPOCHS, TRIALS, STACK = 4, 12, 5
CONDITIONAL = {
    "optimizer": ["sgd", "adamw"],
    "optimizer.sgd.lr": "choice(0.01, 0.1, 1e12)",
    "optimizer.sgd.momentum": "uniform(0, 0.99)",
    "optimizer.adamw.lr": "loguniform(1e-3, 1e-1)",
    "activation": ["relu", "prelu"],
    "regularization.dropout": "uniform(0, 0.5)",
}
"""One learning rate diverges; PReLU's trials are stacks of their own."""
FINITE = {
    "optimizer": ["sgd", "adamw"],
    "optimizer.sgd.lr": "choice(0.01, 0.03, 0.1, 1e12)",
    "optimizer.adamw.lr": "choice(0.001, 0.01)",
    "activation": ["relu", "prelu"],
}
"""It has TRIALS points."""
NUMBERS = {
    "optimizer.lr": "loguniform(1e-3, 1e-1)",
    "optimizer.momentum": "uniform(0, 0.99)",
    "regularization.dropout": "uniform(0, 0.5)",
}
POPULATION = {
    "optimizer.lr": "choice(0.01, 0.03, 0.1, 1e12)",
    "schedule": ["constant", "exponential"],
    "schedule.exponential.gamma": "uniform(0.5, 0.99)",
    "regularization.dropout": "uniform(0, 0.5)",
}
ALGORITHMS: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "random": ({}, CONDITIONAL),
    "grid": ({}, FINITE),
    "sobol": ({}, CONDITIONAL),
    "tpe": ({"startup": 6, "batch": 3}, CONDITIONAL),
    "gp": ({"startup": 6, "batch": 3}, CONDITIONAL),
    "cmaes": ({"population": 6}, CONDITIONAL),
    "evolution": ({"population": 6}, CONDITIONAL),
    "pso": ({"population": 6}, NUMBERS),
    "pbt": ({"quantile": 0.5}, POPULATION),
}
"""Name → its fields and the space that it searches; pso has no place for choices, pbt none for other networks."""
SCHEDULERS: dict[str, Mapping[str, Any]] = {
    "none": {},
    "asha": {"min_epochs": 1, "eta": 2},
    "hyperband": {"eta": 2},
    "bohb": {"eta": 2, "enough": 4},
    "median": {"min_trials": 2},
}
REFUSED = {(name, "bohb"): "allowed with bohb: algorithm tpe" for name in ALGORITHMS if name != "tpe"} | {
    ("pbt", name): "allowed with pbt: none" for name in SCHEDULERS if name != "none"
}
"""Pair → what its refusal says."""
QUICK = {("tpe", "bohb"), ("evolution", "hyperband"), ("pbt", "none"), ("cmaes", "asha"), ("grid", "median")}
PAIRS = [
    pytest.param(algorithm, scheduler, marks=() if (algorithm, scheduler) in QUICK else pytest.mark.slow)
    for algorithm in ALGORITHMS
    for scheduler in SCHEDULERS
    if (algorithm, scheduler) not in REFUSED
]


def job(algorithm: str, scheduler: str, storage: str, **search: Any) -> Job:
    fields, space = ALGORITHMS[algorithm]
    return Job.model_validate(
        {
            "name": "pair",
            "seed": 3,
            "storage": storage,
            "data": {"name": "digits", "validation_fraction": 0.2, "scaling": "unit"},
            "model": {"name": "mlp", "widths": [16]},
            "optimizer": "sgd",
            "train": {"epochs": EPOCHS, "batch_size": 256, "checkpoint_every_epochs": 0},
            "search": {
                # bohb proposes a bracket at a time
                "algorithm": {"name": algorithm} if scheduler == "bohb" else {"name": algorithm, **fields},
                "scheduler": {"name": scheduler, **SCHEDULERS[scheduler]},
                "trials": TRIALS,
                "stack": STACK,
                "space": space,
            }
            | search,
        }
    )


@dataclass(frozen=True)
class Swept:
    """What a sweep left in the store."""

    trials: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    events: list[dict[str, Any]]

    @property
    def ends(self) -> dict[str, tuple[Any, ...]]:
        """Trial → what it was and how it ended."""
        columns = (
            "config_hash",
            "seed",
            "state",
            "stop_reason",
            "epochs",
            "bracket",
            "best_value",
            "best_epoch",
        )
        return {row["trial_id"]: tuple(row[name] for name in columns) for row in self.trials}

    @property
    def values(self) -> dict[tuple[str, int], tuple[float | None, ...]]:
        """(configuration, epoch) → what was measured."""
        columns = (
            "train_loss",
            "validation_loss",
            "train_accuracy",
            "validation_accuracy",
            "grad_norm",
            "lr",
        )
        hashes = {row["trial_id"]: row["config_hash"] for row in self.trials}
        return {
            (hashes[row["trial_id"]], row["epoch"]): tuple(
                -1.0 if isnan(row[name]) else row[name] for name in columns
            )
            for row in self.epochs
        }

    @property
    def losses(self) -> set[tuple[Any, ...]]:
        """(trial, epoch) with its validation loss."""
        return {
            (row["trial_id"], row["epoch"], -1.0 if isnan(row["validation_loss"]) else row["validation_loss"])
            for row in self.epochs
        }

    @property
    def verdicts(self) -> set[tuple[Any, ...]]:
        """What was decided of each trial at each rung, and why; not when."""
        columns = ("kind", "trial_id", "epoch", "bracket", "rung", "value", "cutoff", "detail")
        kinds = ("stopped", "promoted", "exploited")
        return {tuple(row[name] for name in columns) for row in self.events if row["kind"] in kinds}


@pytest.fixture
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Swept]:
    def run_sweep(algorithm: str, scheduler: str, slots: int, **search: Any) -> Swept:
        asked = job(algorithm, scheduler, str(tmp_path_factory.mktemp("storage")), **search)
        assert asked.search is not None
        assert not cross_field_problems(asked, Positions({}))
        space = build_space(asked, Positions({}))
        stacks = Stacks(generations(space, asked), asked.search.stack)
        run = begin(asked, "", "run", "sweep", stacks.plans, space.tree(), stacks.expected)
        sweep_run(run, [asked], stacks, None, InProcess(slots))
        assert stacks.over
        written = sum(part.table.num_rows for part in read_parts(run.location, "epochs"))
        swept = Swept(*(read(run.location, table).to_pylist() for table in ("trials", "epochs", "events")))
        assert written == len(swept.epochs), "an epoch was trained twice"
        return swept

    return run_sweep


def check(swept: Swept) -> None:
    """Every trial has ended with all its epochs, and what was stopped is what the verdicts say."""
    assert [row["number"] for row in swept.trials] == list(range(TRIALS))
    assert {row["state"] for row in swept.trials} <= {"COMPLETED", "STOPPED", "DIVERGED"}
    for trial in swept.trials:
        its = [row["epoch"] for row in swept.epochs if row["trial_id"] == trial["trial_id"]]
        assert its == list(range(1, trial["epochs"] + 1))
        assert (trial["epochs"] == EPOCHS) or trial["state"] != "COMPLETED"
    stopped = [(row["trial_id"], row["epoch"]) for row in swept.events if row["kind"] == "stopped"]
    ended = {row["trial_id"]: row["epochs"] for row in swept.trials if row["state"] == "STOPPED"}
    assert len(stopped) == len(ended)
    assert dict(stopped) == ended
    losses = {(row["trial_id"], row["epoch"]): row["validation_loss"] for row in swept.epochs}
    decided = [verdict[1:3] for verdict in swept.verdicts]
    assert len(decided) == len(set(decided))
    assert all(losses[verdict[1], verdict[2]] == verdict[5] for verdict in swept.verdicts)


@pytest.mark.parametrize(("algorithm", "scheduler"), PAIRS)
def test_a_pair(sweep: Callable[..., Swept], algorithm: str, scheduler: str) -> None:
    """One slot or two, stacks or single trials: the same."""
    two = sweep(algorithm, scheduler, slots=2)
    check(two)
    one = sweep(algorithm, scheduler, slots=1)
    assert (one.ends, one.values, one.verdicts) == (two.ends, two.values, two.verdicts)
    alone = sweep(algorithm, scheduler, slots=2, stack=1)
    check(alone)
    if scheduler in ("asha", "median"):
        # They decide in the order of the stacks, which are others now; a trial trains as before.
        common = alone.values.keys() & two.values.keys()
        assert len(common) >= TRIALS
        assert {key: alone.values[key] for key in common} == {key: two.values[key] for key in common}
    else:
        assert (alone.ends, alone.values, alone.verdicts) == (two.ends, two.values, two.verdicts)


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "scheduler"), [("evolution", "hyperband"), ("random", "asha")])
def test_a_pair_with_several_seeds(sweep: Callable[..., Swept], algorithm: str, scheduler: str) -> None:
    """A configuration's seeds are judged as one; the best are confirmed, whatever the number of slots."""
    seeds = {"repeats": 2, "confirm": 2, "confirm_seeds": 3}
    two = sweep(algorithm, scheduler, slots=2, **seeds)
    one = sweep(algorithm, scheduler, slots=1, **seeds)
    assert (one.ends, one.losses, one.verdicts) == (two.ends, two.losses, two.verdicts)
    stages = [row["stage"] for row in two.trials]
    assert stages == ["search"] * 2 * TRIALS + ["confirm"] * 2 * 3
    stopped: dict[str, set[int]] = {}
    for row in two.trials:
        if row["state"] == "STOPPED":
            stopped.setdefault(row["config_hash"], set()).add(row["epochs"])
    assert stopped
    assert all(len(epochs) == 1 for epochs in stopped.values())
    for row in two.trials:
        assert row["state"] != "COMPLETED" or row["stage"] == "confirm" or row["config_hash"] not in stopped


@pytest.mark.parametrize(("algorithm", "scheduler"), REFUSED)
def test_a_pair_that_makes_no_sense_is_refused(algorithm: str, scheduler: str) -> None:
    problems = cross_field_problems(job(algorithm, scheduler, "storage"), Positions({}))
    assert [REFUSED[algorithm, scheduler] in problem.message for problem in problems].count(True) == 1


def test_particles_do_not_fly_through_conditions(tmp_path: Any) -> None:
    with pytest.raises(JobError, match="allowed: algorithm evolution or tpe"):
        build_space(job("pso", "none", str(tmp_path), space=CONDITIONAL), Positions({}))


def test_every_algorithm_and_scheduler_has_its_row() -> None:
    assert set(ALGORITHMS) == set(components("algorithm"))
    assert set(SCHEDULERS) == set(components("scheduler"))
