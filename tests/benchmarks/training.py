"""Steps a second of the reference training, against the same loop in plain PyTorch and in other frameworks.

All train the network of jobs/fashion-mlp.yaml on the same tensors with one thread, an epoch each in turn. raydnn
measures the epoch's loss, accuracy and gradient norm on the way; the plain loop measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from loops import Loop, raydnn_loop, reference_data, reference_trial, steps_per_second, work_of
from measuring import Comparison, by_turns
from peers import PEERS

from raydnn.data.dataset import Dataset

BATCH_SIZES = (32, 512)
EXAMPLES = 32_000


def measure(
    repeats: int,
    data: Path | None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    examples: int = EXAMPLES,
    peers: Sequence[str] = tuple(PEERS),
) -> list[Comparison]:
    """Compare the loops at each batch size.

    Args:
        repeats: Timed epochs of each loop.
        data: Folder with Fashion-MNIST's IDX files; None: random data of the same shapes.
        batch_sizes: Examples a batch.
        examples: Examples an epoch.
        peers: Which of PEERS.
    """
    torch.set_num_threads(1)
    dataset = reference_data(data, examples)
    return [row for size in batch_sizes for row in _compare(size, repeats, dataset, peers)]


def _compare(batch_size: int, repeats: int, dataset: Dataset, peers: Sequence[str]) -> list[Comparison]:
    trial = reference_trial(batch_size)
    work = work_of(trial, dataset)
    missing = {peer for peer in peers if find_spec(PEERS[peer][1]) is None}
    loops: dict[str, Loop] = {"raydnn": raydnn_loop([trial], dataset)}
    loops |= {peer: PEERS[peer][2](work) for peer in peers if peer not in missing}
    speeds = by_turns(
        repeats, {name: partial(steps_per_second, loop, work.steps) for name, loop in loops.items()}
    )
    return [
        Comparison(
            f"training/{batch_size}/{peer}",
            f"784-300-100-10, SGD, batch {batch_size}, one thread",
            PEERS[peer][0],
            "steps/s",
            speeds["raydnn"],
            speeds.get(peer, ()),
            absent="not installed" if peer in missing else "",
        )
        for peer in peers
    ]
