"""Examples in memory, and the first of them: what indexing the tensors gives."""

from __future__ import annotations

import pickle

import pytest
import torch

from raydnn.data.batches import order
from raydnn.data.examples import First, targets_of
from raydnn.data.in_memory import InMemory

N = 23
INPUTS = torch.arange(N * 6, dtype=torch.float32).view(N, 2, 3)
TARGETS = torch.arange(N) % 4
WEIGHTS = torch.linspace(0, 1, N)
EXAMPLES = InMemory(INPUTS, TARGETS, WEIGHTS)


@pytest.mark.parametrize("shape", [(5,), (2, 5), (0,), (2, 0)])
@pytest.mark.parametrize("examples", [EXAMPLES, First(EXAMPLES, 12)])
def test_a_batch_is_the_examples_of_its_numbers(examples: InMemory | First, shape: tuple[int, ...]) -> None:
    rows = torch.randint(12, shape, generator=torch.Generator().manual_seed(0))
    inputs, labels = examples.batch(rows)
    assert inputs.equal(INPUTS[rows])
    assert labels.targets.equal(TARGETS[rows])
    assert labels.weights is not None
    assert labels.weights.equal(WEIGHTS[rows])
    assert InMemory(INPUTS, TARGETS).batch(rows)[1].weights is None


@pytest.mark.parametrize("size", [1, 4, 5, 100])
@pytest.mark.parametrize(("rank", "workers"), [(0, 1), (0, 3), (2, 3), (29, 30)])
@pytest.mark.parametrize("count", [N, 12, 1])
def test_chunks_are_a_workers_share_in_order(size: int, rank: int, workers: int, count: int) -> None:
    for examples in (First(EXAMPLES, count), InMemory(INPUTS[:count], TARGETS[:count])):
        chunks = list(examples.chunks(size, rank, workers))
        share = range(rank, count, workers)
        assert [len(targets) for _, targets in chunks] == [
            len(share[start : start + size]) for start in range(0, len(share), size)
        ]
        if chunks:
            assert torch.cat([inputs for inputs, _ in chunks]).equal(INPUTS[list(share)])
            assert torch.cat([targets for _, targets in chunks]).equal(TARGETS[list(share)])


@pytest.mark.parametrize("examples", [EXAMPLES, First(EXAMPLES, 12)])
def test_an_epoch_visits_every_example_once(examples: InMemory | First) -> None:
    found = examples.order(3, 2)
    assert found.equal(order(3, 2, len(examples)))
    assert sorted(found.tolist()) == list(range(len(examples)))


def test_what_is_said_of_them() -> None:
    for examples in (EXAMPLES, First(EXAMPLES, 12).to("cpu")):
        assert examples.features == (2, 3)
        assert examples.target_shape == ()
        assert examples.why_eager == ""
        assert examples.memory_bytes == N * (6 * 4 + 8 + 4)
    assert InMemory(INPUTS, INPUTS[:, 0]).target_shape == (3,)
    assert targets_of(First(EXAMPLES, 12)).equal(TARGETS[:12])


def test_they_are_the_same_after_a_copy_to_another_process() -> None:
    for examples in (EXAMPLES, InMemory(INPUTS, TARGETS)):
        again: InMemory = pickle.loads(pickle.dumps(examples))
        assert again.inputs.equal(INPUTS)
        assert again.targets.equal(TARGETS)
        assert (again.weights is None) == (examples.weights is None)
        assert again.weights is None or again.weights.equal(WEIGHTS)
