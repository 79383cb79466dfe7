"""The probe: a few steps of a stack, timed in this process, from which the time of a sweep is told.

On a CPU it counts the seconds of this thread, which do not depend on what else the machine does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time

import torch

from raydnn.data.dataset import Dataset
from raydnn.data.examples import First
from raydnn.search.packing import StackPlan, by_shape
from raydnn.search.planning import Cost, Line
from raydnn.store.run import Run, create_run
from raydnn.training.epoch import train_epoch
from raydnn.training.loop import steps_per_epoch
from raydnn.training.measures.diagnostics import Diagnostics
from raydnn.training.measures.evaluation import CHUNK, evaluate
from raydnn.training.record import Record
from raydnn.training.stack.exploit import of_all
from raydnn.training.stack.footprint import checkpoint_bytes, footprint, member_bytes
from raydnn.training.stack.member import Member
from raydnn.training.stack.parts import part_sizes, step_numbers
from raydnn.training.stack.stack import Stack, architecture_of
from raydnn.training.steps.passes import STEPS_BEFORE_CAPTURE, Passes
from raydnn.training.workers import Workers

MEASURED_SECONDS = 0.2
"""Steps are timed for about so long, three times over."""
FEWER = 8
"""A stack is timed whole and with one in so many of its members."""
FIRST_STEPS = 3
"""Steps that nobody times: a device's first ones load its kernels, and steps are captured."""
EVALUATED_CHUNKS = 4
"""Most chunks of validation examples that are evaluated."""


@dataclass(frozen=True)
class Probed:
    """What the stacks of a shape, or of the same shapes, cost and take, as the largest of them does."""

    cost: Cost
    steps: int
    """Steps an epoch."""
    parameters: int
    """Of a trial, the largest one."""
    operations: int
    """Multiply-adds of a forward pass of an example by the largest trial."""
    memory_bytes: int
    """Most memory of the stack, by estimate."""
    checkpoint_bytes: int
    """State of the stack, to go on from."""
    weights_bytes: int
    """A finished trial's checkpoint."""
    rows_bytes: int
    """An epoch's file of rows."""


def probe(plan: StackPlan, dataset: Dataset, device: torch.device) -> Probed:
    """Time a stack's start, steps, evaluation and commits; nothing of it stays.

    Args:
        plan: The stack.
        dataset: Its data, on `device`.
        device: Where it would be trained.
    """
    shapes = by_shape([Member(number, spec) for number, spec in plan.trials], lambda member: member.spec)
    stacks, sizes, operations, start_seconds = [], [], [], 0.0
    for alike in shapes:
        first = alike[0].spec
        architecture = architecture_of(first, dataset)
        operations.append(architecture.costs(first).operations)
        numbers = step_numbers(architecture, first, first.train.batch_of(len(dataset.train)))
        sizes.append(part_sizes(len(alike), numbers, device))
        begun = _now(device)
        stacks.append(Stack(alike[: max(sizes[-1])], dataset, Workers(), device))
        start_seconds += (_now(device) - begun) * len(sizes[-1])
    with TemporaryDirectory() as folder:
        run = create_run(folder, "probe", "", {"metric": "validation_loss", "mode": "min"})
        record = Record(run, 0, Workers(), 0)
        many, recorded = _measured(stacks, dataset, record)
        rows_bytes = _rows_bytes(run)
        end_seconds = _seconds(lambda: _save_member(record, stacks[0]), device)
        for stack in stacks:
            stack.keep(range(0, len(stack.members), FEWER))
        few, recorded_few = _measured(stacks, dataset, record)
        record.close()
    lines = [Line.through(*pair) for pair in zip(few, many, strict=True)]
    alike_bytes = [
        checkpoint_bytes([m.spec for m in alike], s.layout) for alike, s in zip(shapes, stacks, strict=True)
    ]
    return Probed(
        Cost(
            start_seconds,
            _mean_line(lines, [len(each) for each in sizes], [len(alike) for alike in shapes]),
            sum(len(each) for each in sizes),
            Line.through(recorded_few, recorded),
            end_seconds,
        ),
        steps_per_epoch(stacks[0], dataset),
        max(stack.layout.count for stack in stacks),
        max(operations),
        footprint([trial for _, trial in plan.trials], dataset, device.type),
        sum(alike_bytes),
        max(member_bytes(stack.layout) for stack in stacks),
        rows_bytes,
    )


def _mean_line(lines: Sequence[Line], parts: Sequence[int], members: Sequence[int]) -> Line:
    """The line of a part of any shape, where each shape has so many parts and members."""
    fixed = sum(line.fixed_seconds * count for line, count in zip(lines, parts, strict=True)) / sum(parts)
    each = sum(line.each_seconds * count for line, count in zip(lines, members, strict=True)) / sum(members)
    return Line(fixed, each)


def _measured(
    stacks: Sequence[Stack], dataset: Dataset, record: Record
) -> tuple[list[tuple[int, float]], tuple[int, float]]:
    """Members and seconds: of an epoch of each stack, and of what is recorded of all of them together."""
    epochs = [_measure(stack, dataset, MEASURED_SECONDS / len(stacks)) for stack in stacks]
    recording = _seconds(lambda: _record_epoch(stacks, dataset, record), stacks[0].device)
    return epochs, (sum(len(stack.members) for stack in stacks), recording)


def _measure(stack: Stack, dataset: Dataset, for_seconds: float) -> tuple[int, float]:
    """Members and seconds of an epoch, from a part of its steps, as many as take about so long, and the evaluation."""
    device = stack.device
    steps = steps_per_epoch(stack, dataset)
    n = len(dataset.train)
    size = stack.members[0].spec.train.step_of(n)
    # As most steps are: captured, where a training has enough of them.
    before = 0 if steps * stack.members[0].spec.train.epochs > STEPS_BEFORE_CAPTURE else sys.maxsize
    few = min(steps, FIRST_STEPS)
    begun = Passes(stack, First(dataset.train, min(few * size, n)), before)
    _training_seconds(begun, few)
    one = _training_seconds(begun, few) / few
    measured = max(1, min(steps, round(for_seconds / max(one, 1e-4))))
    passes = Passes(stack, First(dataset.train, min(measured * size, n)), before)
    training = median([_training_seconds(passes, measured) for _ in range(4)][1:]) / measured * steps
    part = First(dataset.validation, min(EVALUATED_CHUNKS * CHUNK[device.type], len(dataset.validation)))
    evaluation = _seconds(lambda: evaluate(stack, part), device) * len(dataset.validation) / len(part)
    return len(stack.members), training + evaluation


def _training_seconds(passes: Passes, steps: int) -> float:
    """Some steps, with a learning rate of 0."""
    stack = passes.stack
    rates = torch.zeros(2, steps, len(stack.members), dtype=torch.float64)
    begun = _now(stack.device)
    train_epoch(passes, 1, rates)
    return _now(stack.device) - begun


def _record_epoch(stacks: Sequence[Stack], dataset: Dataset, record: Record) -> None:
    """What a session does after an epoch."""
    layers = []
    for stack in stacks:
        diagnostics = Diagnostics(stack)
        diagnostics.before_last_step(stack.gradients.clone())
        layers += diagnostics.rows(1, dataset.train)
    record.commit_layers(layers)
    zeros = dict.fromkeys(("train_loss", "validation_loss", "lr", "grad_norm", "seconds"), 0.0)
    members = [member for stack in stacks for member in stack.members]
    record.commit_epoch([{"trial_id": member.trial_id, "epoch": 1, "step": 1, **zeros} for member in members])
    if members[0].spec.train.checkpoint_every_epochs:
        record.save_state(1, of_all(stacks), {"epoch": 1}, members)
        record.finish()


def _save_member(record: Record, stack: Stack) -> None:
    record.save_member(stack.members[0], stack.member_parameters(0), {})
    record.finish()


def _rows_bytes(run: Run) -> int:
    folder = Path(run.local_path("epochs"))
    return max(path.stat().st_size for path in folder.glob("*.parquet"))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of some work, the median of three times after a first one."""
    work()
    found = []
    for _ in range(3):
        begun = _now(device)
        work()
        found.append(_now(device) - begun)
    return median(found)


def _now(device: torch.device) -> float:
    if device.type == "cpu":
        return thread_time()
    torch.cuda.synchronize(device)
    return perf_counter()
