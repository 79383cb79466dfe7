"""Cutting a stack into the parts that are computed at once.

On a GPU all members share every kernel: *fused*. A CPU is fastest while what a step goes through stays in its cache, so
there large members are trained part by part, *in turn*, in one process all the same. The rule knows the device and the
shapes, never the time; a member's numbers are the same in any part. Members of other shapes are in parts of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import ceil

import torch

from raydnn.data.dataset import Dataset
from raydnn.nn.models.architecture import Architecture
from raydnn.search.packing import balanced, by_shape, shape_of
from raydnn.spec.trial import TrialSpec
from raydnn.training.stack.footprint import (
    FLOAT_BYTES,
    checkpoint_bytes,
    footprint,
    most_in_memory,
    with_architectures,
)
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack, architecture_of
from raydnn.training.workers import Workers

CACHE_BYTES = 5 << 20
"""What the members of a part may go through in a step on a CPU: parameters and a batch's activations.

Measured on a core with 1 MiB of cache of its own and 16 of shared: members of 1 MiB are fastest four at once,
members of 20 kB from 64 at once on.
"""

CALL_NUMBERS = 50_000
"""What the calls of a step cost, whatever its shapes, in numbers that a step goes through in the same time."""

SHORT_EPOCH = 40_000_000
"""Numbers that all members of a stack of several shapes may go through in an epoch.

They take a core about 0.25 s; the commit of an epoch, which they share, takes 5 ms, the start of a stack 0.1 s.
"""

USED_SHARE = 0.9
"""Share of a GPU's free memory that a stack's estimate may take."""

MOST_FUSED = 128
"""Most members of a part on a CPU; more gain nothing."""


def cut(
    members: Sequence[Member],
    dataset: Dataset,
    workers: Workers,
    device: torch.device,
    sizes: Sequence[int] | None = None,
    pieces: int = 1,
) -> list[Stack]:
    """Make the parts of a stack.

    Args:
        members: The stack's members, those of equal shapes side by side.
        dataset: The data, on `device`.
        workers: This process among the data-parallel workers.
        device: Where they are trained.
        sizes: Sizes of the parts; None: those of the rule.
        pieces: How many pieces each batch is computed in.
    """
    if sizes is None:
        shapes = by_shape(members, lambda member: member.spec)
        sizes = [size for alike in shapes for size in _sizes(alike, dataset, device)]
    edges = accumulate(sizes, initial=0)
    return [Stack(members[start:end], dataset, workers, device, pieces) for start, end in pairwise(edges)]


def _sizes(alike: Sequence[Member], dataset: Dataset, device: torch.device) -> list[int]:
    """Sizes of the parts of members of one shape, by the rule."""
    trials = [member.spec for member in alike]
    if device.type != "cpu":
        return sizes_that_fit(trials, dataset, free_bytes(device), device.type)
    batch_size = trials[0].train.batch_of(len(dataset.train))
    numbers = step_numbers(architecture_of(trials[0], dataset), trials[0], batch_size)
    return part_sizes(len(alike), numbers, device)


def strategy_of(parts: Sequence[Stack]) -> str:
    """How a stack is computed: `fused`, all members at once, `in turn`, or `by shape`, those of each shape in turn."""
    if len({shape_of(part.members[0].spec) for part in parts}) > 1:
        return "by shape"
    return "fused" if len(parts) == 1 and parts[0].fused else "in turn"


def parameters_of(members: Sequence[Member], parts: Sequence[Stack], dataset: Dataset) -> dict[int, int]:
    """Trial → number of its network's parameters, also of members that have left the parts."""
    counts = {shape_of(part.members[0].spec): part.layout.count for part in parts}
    for member in members:
        shape = shape_of(member.spec)
        if shape not in counts:
            counts[shape] = architecture_of(member.spec, dataset).layout.count
    return {member.number: counts[shape_of(member.spec)] for member in members}


def part_sizes(members: int, member_numbers: int, device: torch.device) -> list[int]:
    """Sizes of the parts, of neighbouring members.

    Args:
        members: Members of the stack.
        member_numbers: Of `step_numbers`.
        device: Where they are trained.

    Returns:
        At most one apart; they add up to the number of members.
    """
    return balanced(members, _most_on_a_cpu(member_numbers) if device.type == "cpu" else members)


def sizes_that_fit(
    trials: Sequence[TrialSpec], dataset: Dataset, free: int | None, device_type: str
) -> list[int]:
    """Sizes of the parts on a GPU: all members at once, or half as many for as long as memory is lacking.

    What is kept of all members is there whatever the parts; what a step or an evaluation makes is there for one part
    at a time.

    Args:
        trials: The stack's members.
        dataset: What they are trained on.
        free: Bytes that are free on the device; None: as many as are needed.
        device_type: Its kind.
    """
    layout = architecture_of(trials[0], dataset).layout

    def kept(members: int) -> int:
        return checkpoint_bytes(trials[:members], layout) + FLOAT_BYTES * layout.size * members

    most = n = len(trials)
    while most > 1 and free is not None:
        passing = footprint(trials[:most], dataset, device_type) - kept(most)
        if kept(n) + passing <= USED_SHARE * free:
            break
        most = -(-most // 2)
    return balanced(n, most)


def free_bytes(device: torch.device) -> int | None:
    """Memory of a GPU that is not in use, what torch holds in reserve included; None where it cannot be told."""
    if device.type != "cuda":
        return None
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + reserve


def step_numbers(architecture: Architecture, trial: TrialSpec, batch_size: int) -> int:
    """Numbers that a member goes through in a step of `batch_size` examples: its parameters, and what they make."""
    return architecture.layout.size + 2 * architecture.costs(trial).activations * batch_size


def stack_limit(memory_gib: float, dataset: Dataset, gpus: int) -> Callable[[Sequence[TrialSpec]], int]:
    """Most trials of one shape in a stack: as many as fit into memory, and on a CPU as many as make one part.

    Parts that are trained in turn gain nothing from being in one stack, and as stacks they can go to all cores.

    Args:
        memory_gib: Memory that a stack may take, in GiB.
        dataset: What the trials are trained on.
        gpus: GPUs of a stack.
    """
    fits = most_in_memory(memory_gib, dataset)

    def most(trials: Sequence[TrialSpec]) -> int:
        if gpus:
            return fits(trials)
        batch_size = trials[0].train.batch_of(len(dataset.train))
        numbers = (step_numbers(own, trial, batch_size) for trial, own in with_architectures(trials, dataset))
        return min(fits(trials), _most_on_a_cpu(max(numbers)))

    return most


def share_of_mixed(dataset: Dataset, gpus: int) -> Callable[[TrialSpec], float] | None:
    """Which share of a stack of several shapes a trial takes: its epoch's, of SHORT_EPOCH; None on GPUs.

    An epoch is steps · (CALL_NUMBERS + numbers of a step). Where epochs are longer, what is saved by sharing a stack
    is nothing beside what is lost where there are slots for more.

    Args:
        dataset: What the trials are trained on.
        gpus: GPUs of a stack.
    """
    if gpus:
        return None

    def share(trial: TrialSpec) -> float:
        n = len(dataset.train)
        numbers = step_numbers(architecture_of(trial, dataset), trial, trial.train.batch_of(n))
        return ceil(n / trial.train.batch_of(n)) * (CALL_NUMBERS + numbers) / SHORT_EPOCH

    return share


def _most_on_a_cpu(member_numbers: int) -> int:
    return min(max(CACHE_BYTES // (FLOAT_BYTES * member_numbers), 1), MOST_FUSED)
