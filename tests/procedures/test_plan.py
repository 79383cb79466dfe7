"""The stacks of a plan are those that the sweep would have."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from raydnn.procedures.plan import plan_run
from raydnn.search.algorithms.registry import generations
from raydnn.search.packing import pack
from raydnn.space.space import build_space
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions


def job(**search: Any) -> Job:
    space = {"optimizer.lr": "loguniform(1e-3, 1)", "train.batch_size": [512, 1024]}
    return Job.model_validate(
        {
            "name": "small",
            "data": "digits",
            "model": {"widths": [4]},
            "optimizer": "sgd",
            "train": {"epochs": 4},
            "search": {"trials": 10, "stack": 3, "space": space, **search},
        }
    )


def plan(given: Job, slots: int = 1) -> Any:
    space = build_space(given, Positions({}))
    return plan_run(given, space, slots, torch.device("cpu"), None, lambda _bytes, _processes: None)


def test_the_stacks_are_those_of_the_sweep() -> None:
    given = job()
    planned = plan(given)
    trials = generations(build_space(given, Positions({})), given).propose()
    stacks = pack(trials, 3)
    assert planned.stacks == len(stacks)
    largest: dict[object, int] = {}
    for stack in stacks:
        size = stack.trials[0][1].train.batch_size
        largest[size] = max(largest.get(size, 0), len(stack.trials))
    assert {shape["batch_size"]: shape["largest"] for shape in planned.shapes} == largest
    assert planned.epochs == planned.epochs_at_most == 40
    steps = {512: 3, 1024: 2}
    assert planned.steps == sum(4 * steps[stack.trials[0][1].train.batch_size or 0] for stack in stacks)


@pytest.mark.parametrize(
    ("algorithm", "scheduler", "count"),
    [
        ({"name": "tpe", "startup": 4, "batch": 2}, "none", 4),
        ({"name": "tpe"}, {"name": "bohb", "eta": 2}, 3),  # brackets of 4 epochs: 4, 3 and 3 trials
        ({"name": "evolution", "population": 5, "elite": 2, "tournament": 2}, "hyperband", 2),
    ],
)
def test_generations_are_those_of_the_algorithm(algorithm: Any, scheduler: Any, count: int) -> None:
    planned = plan(job(algorithm=algorithm, scheduler=scheduler))
    assert planned.generations == count
    assert planned.trials == 10


def test_memory_is_asked_for_before_anything_is_allocated() -> None:
    asked = []

    def refuse(process_bytes: int, processes: int) -> None:
        asked.append((process_bytes, processes))
        raise MemoryError

    given = job()
    with pytest.raises(MemoryError):
        plan_run(given, build_space(given, Positions({})), 2, torch.device("cpu"), None, refuse)
    assert asked[0][0] > 2**28
    assert asked[0][1] == 2


def test_seeds_and_confirming_trials_count() -> None:
    asha = {"name": "asha", "min_epochs": 1, "max_epochs": 4, "eta": 2}
    planned = plan(job(repeats=2, confirm=3, confirm_seeds=4, stack=6, scheduler=asha))
    assert (planned.trials, planned.generations) == (10 * 2 + 3 * 4, 2)
    assert planned.epochs_at_most == planned.trials * 4
    assert planned.rungs[0]["trials"] == 20
    assert all(count % 2 == 0 for rung in planned.rungs for count in (rung["stopped"], rung["go_on"]))
    # All that confirm are trained to their ends; of the others some are stopped at once, how many by the made-up curves
    # of the sweep whose time is the median, which is measured.
    assert 12 * 4 + 20 <= planned.epochs <= 12 * 4 + 20 * 4 - 6 * 3
    once = plan(job(scheduler=asha, stack=6))
    assert planned.disk_bytes > once.disk_bytes
    assert planned.training_seconds > once.training_seconds
