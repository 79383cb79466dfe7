"""The plan of a job: trials, stacks, rungs, steps, time, memory and disk, without running it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median_low
from time import perf_counter, thread_time
from typing import Any

import torch

from raydnn.data.dataset import Dataset
from raydnn.data.load import load_dataset
from raydnn.procedures.coming_stacks import coming_stacks
from raydnn.search.packing import StackPlan
from raydnn.search.planning import (
    Cost,
    Overhead,
    Planned,
    Timetable,
    made_up_curves,
    rung_table,
    timetable,
)
from raydnn.search.stopping import RULES
from raydnn.space.space import Assignment, Space
from raydnn.spec.data import DataSet
from raydnn.spec.job import Job
from raydnn.training.measures.probe import Probed, probe
from raydnn.training.stack.footprint import dataset_bytes, footprint
from raydnn.training.stack.parts import share_of_mixed, stack_limit
from raydnn.training.stack.summary import unknown_roles

DRAWS = 9
"""Made-up results from which the expected time is told."""
PROCESS_BYTES = 500 * 2**20
"""Memory of a training process before it has data: Python, torch, Ray."""
DRIVER_BYTES = 1000 * 2**20
"""Memory of the command and of Ray's own processes."""
SWEEP = Overhead(5.7, 0.4, 0.06, 0.02, 0.6)
TRAIN = Overhead(3.0, 0.0, 0.0, 0.0, 0.3)
"""Seconds on a free machine that imports torch in IMPORT_SECONDS; on another they are longer or shorter in
proportion."""
IMPORT_SECONDS = 1.2


@dataclass(frozen=True)
class SweepPlan:
    """What is expected of a run."""

    trials: int
    generations: int
    stacks: int
    shapes: list[dict[str, Any]]
    """Of each shape of stack, or of stacks of the same shapes: its stacks, trials, and what one costs."""
    rungs: list[dict[str, int]]
    """Epoch of each rung, trials that reach it, that stop there, and that go on."""
    epochs: int
    """Epochs that all trials together are expected to be trained."""
    epochs_at_most: int
    steps: int
    """Optimizer steps of stacks, which are those of all their trials at once."""
    slots: int
    load: float
    """Wall seconds for each second of work while the probe ran: above 1 where others use the machine, too."""
    seconds: float
    """Wall time from the command to the prompt, at this load."""
    seconds_between: tuple[float, float]
    """Shortest and longest of the made-up sweeps."""
    training_seconds: float
    """The part of it in which stacks are trained."""
    memory_bytes: int
    """Of all processes at once."""
    stack_memory_bytes: int
    """Of one training process, at most."""
    disk_bytes: int
    """Before the run's parts are compacted."""
    overhead: Overhead
    unknown_roles: list[str]
    """What does not act on parameters of users' modules, a line for each such class."""


def plan_run(
    job: Job,
    space: Space | None,
    slots: int,
    device: torch.device,
    import_seconds: float | None,
    allow: Callable[[int, int], None],
    start: Sequence[Assignment] = (),
) -> SweepPlan:
    """Plan a sweep, or a training.

    Args:
        job: The job.
        space: What its sweep searches; None for a training.
        slots: Stacks that are trained side by side.
        device: Where they would be trained; the probe runs there.
        import_seconds: CPU seconds of torch's import here; None: as many as on the machine of the constants.
        allow: Called with the memory of a training process in bytes and the number of those that run at once,
            before anything is allocated; raises what the user is told where that is too much.
        start: Configurations that a sweep begins with.

    Raises:
        DataError: The data cannot be read.
    """

    @cache
    def read(data: DataSet) -> Dataset:
        return load_dataset(data).to(device)

    fits = share = None
    if job.search is not None:
        share = share_of_mixed(read(job.data), job.resources.gpus_per_worker)
        fits = stack_limit(job.search.stack_memory_gib, read(job.data), job.resources.gpus_per_worker)
    stacks = [list(generation) for generation in coming_stacks(job, space, fits, share, start)]
    every = [stack for generation in stacks for stack in generation]
    groups: dict[Hashable, list[StackPlan]] = {}
    for stack in every:
        groups.setdefault(stack.shapes, []).append(stack)
    at_once = min(slots, max(map(len, stacks)))
    begun, begun_cpu = perf_counter(), thread_time()
    probed, data_bytes = _probe(groups.values(), read, device, lambda memory: allow(memory, at_once))
    load = max(1.0, (perf_counter() - begun) / (thread_time() - begun_cpu)) if device.type == "cpu" else 1.0
    shapes = {key: number for number, key in enumerate(groups)}
    planned = [
        [
            Planned(
                shapes[stack.shapes],
                tuple(number for number, _ in stack.trials),
                stack.trials[0][1].train.epochs,
            )
            for stack in generation
        ]
        for generation in stacks
    ]
    overhead = _on_this_machine(SWEEP if job.search else TRAIN, import_seconds)
    expected, stops, between = _expected(
        job, stacks, planned, [each.cost for each in probed], slots, overhead
    )
    total = sum(len(stack.trials) for stack in every)
    largest = max(each.memory_bytes for each in probed)
    completed = (total - len(stops)) * max(each.weights_bytes for each in probed)
    saved = at_once * 2 * max(each.checkpoint_bytes for each in probed)
    rows = expected.stack_epochs * max(each.rows_bytes for each in probed)
    process = PROCESS_BYTES + data_bytes + largest
    return SweepPlan(
        trials=total,
        generations=len(stacks),
        stacks=len(every),
        shapes=[_shape_row(group, each) for group, each in zip(groups.values(), probed, strict=True)],
        rungs=rung_table(stops, sum(len(stack.trials) for stack in every if stack.stage.judged)),
        epochs=expected.epochs,
        epochs_at_most=sum(trial.train.epochs for stack in every for _, trial in stack.trials),
        steps=sum(expected.epochs_of_shape[number] * each.steps for number, each in enumerate(probed)),
        slots=slots,
        load=load,
        seconds=load * expected.wall_seconds,
        seconds_between=(load * between[0], load * between[1]),
        training_seconds=load * expected.training_seconds,
        memory_bytes=DRIVER_BYTES + at_once * process,
        stack_memory_bytes=process,
        disk_bytes=completed + saved + rows,
        overhead=overhead,
        unknown_roles=unknown_roles((trial for stack in every for _, trial in stack.trials), read(job.data)),
    )


def _probe(
    groups: Collection[Sequence[StackPlan]],
    read: Callable[[DataSet], Dataset],
    device: torch.device,
    allow: Callable[[int], None],
) -> tuple[list[Probed], int]:
    """What a stack of each shape costs, and the memory of the largest data set."""
    largest_bytes = 0
    probed = []
    for group in groups:
        largest = max(group, key=lambda stack: len(stack.trials))
        trials = [trial for _, trial in largest.trials]
        dataset = read(trials[0].data)
        largest_bytes = max(largest_bytes, dataset_bytes(dataset))
        allow(PROCESS_BYTES + dataset_bytes(dataset) + footprint(trials, dataset))
        probed.append(probe(largest, dataset, device))
    return probed, largest_bytes


def _expected(
    job: Job,
    stacks: list[list[StackPlan]],
    planned: list[list[Planned]],
    costs: list[Cost],
    slots: int,
    overhead: Overhead,
) -> tuple[Timetable, Mapping[int, int], tuple[float, float]]:
    """The timetable of median length among those of several made-up sweeps, with what stops in it."""
    judged = [stack for generation in stacks for stack in generation if stack.stage.judged]
    order = [leader for stack in judged for leader in stack.leaders]
    leaders = {number: stack.leader(number) for stack in judged for number, _ in stack.trials}
    epochs = max(stack.epochs for generation in planned for stack in generation)

    def sweep(seed: int) -> tuple[Timetable, Mapping[int, int]]:
        stops: Mapping[int, int] = {}
        if job.search is not None:
            curves = made_up_curves(order, epochs, seed)
            found = RULES[job.search.scheduler.name](job.search.scheduler, curves, epochs)
            stops = {number: found[leader] for number, leader in leaders.items() if leader in found}
        return timetable(planned, stops, costs, slots, overhead), stops

    sweeps = [sweep(seed) for seed in range(DRAWS)]
    walls = [each.wall_seconds for each, _ in sweeps]
    middle = walls.index(median_low(walls))
    return *sweeps[middle], (min(walls), max(walls))


def _on_this_machine(overhead: Overhead, import_seconds: float | None) -> Overhead:
    ratio = 1.0 if import_seconds is None else import_seconds / IMPORT_SECONDS
    return replace(overhead, **{name: round(seconds * ratio, 2) for name, seconds in vars(overhead).items()})


def _shape_row(group: Sequence[StackPlan], probed: Probed) -> dict[str, Any]:
    largest = max(len(stack.trials) for stack in group)
    spec = group[0].trials[0][1]
    models = dict.fromkeys((trial.model.name, trial.model.hidden_widths) for _, trial in group[0].trials)
    widths = [list(own) for _, own in models]
    return {
        "model": ", ".join(dict.fromkeys(name for name, _ in models)),
        "widths": widths[0] if len(widths) == 1 else widths,
        "batch_size": spec.train.batch_size or "full",
        "stacks": len(group),
        "trials": sum(len(stack.trials) for stack in group),
        "largest": largest,
        "parameters": probed.parameters,
        "operations": probed.operations,
        "steps_per_epoch": probed.steps,
        "epoch_seconds": probed.cost.epoch_seconds(largest),
        "epoch_seconds_alone": probed.cost.epoch_seconds(1),
        "memory_bytes": probed.memory_bytes,
    }
