"""What a stack takes of memory and disk: estimates from its shapes, before anything is allocated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from math import prod

from raydnn.data.augmentation.augment import numbers_held
from raydnn.data.dataset import Dataset
from raydnn.nn.models.architecture import Architecture
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.optim.schedules import with_cycled_momentum
from raydnn.search.packing import by_shape, shape_of
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.layout import Layout
from raydnn.training.measures.evaluation import CHUNK
from raydnn.training.stack.stack import architecture_of

FLOAT_BYTES = 4
"""Bytes of a float32."""
EVALUATED = 4
"""Numbers that an evaluation holds of the widest layer: what comes in and out, and copies in which kernels compute."""
EXACT = 4
"""And for exact statistics: two copies of it in float64."""
STEP_COPIES = 3
"""Matrices (N, P) of a step besides parameters and optimizer: the gradients, the dense layers' products, and what an
optimizer computes with."""
SAVED_COPIES = 2
"""What is saved exists twice more while it is written: tensor by tensor, and as one file."""

EPOCH_FILE_BYTES = 8 * 2**10
"""The file of an epoch's rows, of a few members, before it is compacted."""


def stack_bytes(
    trials: Sequence[TrialSpec], architecture: Architecture, examples: int, device_type: str = "cpu"
) -> int:
    """Most memory that training a stack takes, without its process and its data set.

    4 bytes · [N·P · (parameters 1, step 3, optimizer's buffers, best 0 or 1)
    + max(what the layers keep of a batch, what augmentation holds of it, evaluation's activations,
    checkpoint 2 · N·P · (1 + buffers, best))]

    Args:
        trials: The stack's N trials.
        architecture: Of their network.
        examples: Training examples: what a batch of them all holds.
        device_type: Where it is trained, `cpu` or `cuda`.
    """
    first = trials[0]
    n, parameters = len(trials), architecture.layout.size
    kept = saved_numbers(trials, architecture.layout)
    batch = min(first.train.batch_of(examples), examples)
    shared = len({(trial.seed, trial.train.augmentation) for trial in trials}) == 1
    features = prod(architecture.inputs)
    inputs = batch * features * (1 if shared else n)
    augmenting = max(numbers_held(trial.train.augmentation, architecture.inputs) for trial in trials)
    costs = max((architecture.costs(trial) for trial in trials), key=lambda each: each.kept)
    at_once = 1 if costs.in_turn else n
    # Inputs are changed before the layers keep anything of them.
    step = inputs + batch * max(n * costs.kept + at_once * costs.passing, augmenting * (1 if shared else n))
    exact = any(getattr(trial.normalization, "exact_statistics", False) for trial in trials)
    held = (EVALUATED + EXACT * exact) * costs.widest
    evaluation = CHUNK[device_type] * (features + at_once * held)
    return FLOAT_BYTES * (kept + n * parameters * STEP_COPIES + max(step, evaluation, SAVED_COPIES * kept))


def footprint(trials: Sequence[TrialSpec], dataset: Dataset, device_type: str = "cpu") -> int:
    """`stack_bytes` with the network and the examples of a data set; shapes that are trained in turn add up.

    What a captured step goes through stays in memory while the others have their turn.
    """
    return sum(
        stack_bytes(alike, architecture_of(alike[0], dataset), len(dataset.train), device_type)
        for alike in by_shape(trials, lambda trial: trial)
    )


def with_architectures(
    trials: Iterable[TrialSpec], dataset: Dataset
) -> Iterator[tuple[TrialSpec, Architecture]]:
    """Each trial with its network's architecture on a data set, which is made once for all trials of a shape."""
    made: dict[Hashable, Architecture] = {}
    for trial in trials:
        shape = shape_of(trial)
        if shape not in made:
            made[shape] = architecture_of(trial, dataset)
        yield trial, made[shape]


def most_in_memory(memory_gib: float, dataset: Dataset) -> Callable[[Sequence[TrialSpec]], int]:
    """How many trials of one shape fit into memory in one stack, at least 1, judged by the largest of them.

    Args:
        memory_gib: The memory, in GiB; it does not depend on the machine, so that a sweep has the same stacks on
            every cluster.
        dataset: What they are trained on.
    """

    def most(trials: Sequence[TrialSpec]) -> int:
        examples = len(dataset.train)
        largest = max(
            stack_bytes([trial], own, examples) for trial, own in with_architectures(trials, dataset)
        )
        return max(int(memory_gib * 2**30) // largest, 1)

    return most


def checkpoint_bytes(trials: Sequence[TrialSpec], layout: Layout) -> int:
    """What the state of a stack takes that is saved to go on from."""
    return FLOAT_BYTES * saved_numbers(trials, layout)


def member_bytes(layout: Layout) -> int:
    """What the weights of one finished trial take."""
    return FLOAT_BYTES * layout.size


def dataset_bytes(dataset: Dataset) -> int:
    """What a data set takes in memory."""
    return sum(part.memory_bytes for part in dataset.parts.values())


def saved_numbers(trials: Sequence[TrialSpec], layout: Layout) -> int:
    """Numbers of parameters, optimizers and best weights of a stack."""
    return layout.size * _saved_copies(trials)


def disk_bytes(trials: Sequence[TrialSpec], parameters: int) -> int:
    """What a stack's files take while it is trained: its state before and after an epoch, its weights, its rows.

    Args:
        trials: The stack's trials.
        parameters: Those of one of them.
    """
    epochs = max(trial.train.epochs for trial in trials)
    saved = SAVED_COPIES * _saved_copies(trials) if trials[0].train.checkpoint_every_epochs else 0
    return FLOAT_BYTES * parameters * (saved + len(trials)) + EPOCH_FILE_BYTES * epochs


def most_disk_bytes(stacks: Iterable[Sequence[TrialSpec]], dataset: Dataset) -> int:
    """`disk_bytes` of the stack that takes most."""
    every = [by_shape(trials, lambda trial: trial) for trials in stacks]
    made = with_architectures([alike[0] for shapes in every for alike in shapes], dataset)
    # In the same order: each shape of each stack takes the next one.
    needed = (sum(disk_bytes(alike, next(made)[1].layout.size) for alike in shapes) for shapes in every)
    return max(needed, default=0)


def _saved_copies(trials: Sequence[TrialSpec]) -> int:
    """Numbers that are saved of a stack for each parameter."""
    best = any(trial.train.keeps_best for trial in trials)
    return len(trials) * (1 + best) + _buffers(trials)


def _buffers(trials: Sequence[TrialSpec]) -> int:
    """Buffers (P,) that the optimizers keep; one that a member needs, all members with its optimizer have."""
    optimizers = [with_cycled_momentum(trial.optimizer, trial.schedule) for trial in trials]
    used = {
        (optimizer.name, buffer)
        for optimizer in optimizers
        for field, buffer in OPTIMIZERS[optimizer.name].buffers_if
        if getattr(optimizer, field)
    }
    kept = Counter(name for name, _ in used)
    return sum(len(OPTIMIZERS[o.name].buffers) + kept[o.name] for o in optimizers)
