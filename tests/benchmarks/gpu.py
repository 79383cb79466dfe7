"""Trial-steps a second of stacks of 256 trials on one GPU, against one trial at a time on the same GPU.

One at a time is the plain PyTorch loop with the data on the GPU: eager, or its whole step captured in a CUDA graph.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from loops import Loop, Work, plain_loop, raydnn_loop, reference_data, steps_per_second, timed, work_of
from measuring import Comparison, by_turns
from stacks import ONE, digits_data, draw_trials
from torch.nn import functional

from raydnn.data.dataset import Dataset

N = 256
REFERENCE_EXAMPLES = 8_192
WARM_UP_STEPS = 3


def measure(repeats: int, data: Path | None) -> list[Comparison]:
    """Compare stacks of small and of large members with both ways to train one.

    Args:
        repeats: Measurements of each program.
        data: Folder with Fashion-MNIST's IDX files; None: random data of the same shapes.
    """
    if not torch.cuda.is_available():
        return [
            Comparison(
                "gpu", f"stacks of {N} trials", "one trial at a time", "trial-steps/s", absent="no GPU"
            )
        ]
    device = torch.device("cuda")
    shapes = {
        "digits": ("64-64-10", digits_data()),
        "reference": ("784-300-100-10", reference_data(data, REFERENCE_EXAMPLES)),
    }
    return [
        row
        for network, (shape, dataset) in shapes.items()
        for row in _compare(network, shape, repeats, dataset.to(device), device)
    ]


def _compare(
    network: str, shape: str, repeats: int, dataset: Dataset, device: torch.device
) -> list[Comparison]:
    trials = draw_trials(network, ONE, N)
    work = work_of(trials[0], dataset)
    loops = {
        "raydnn": (raydnn_loop(trials, dataset, device), N * work.steps),
        "eager": (plain_loop(work), work.steps),
        # An incomplete last batch has another shape than the graph, so it is left out.
        "graph": (graph_loop(work), len(work.targets) // work.batch_size),
    }
    speeds = by_turns(repeats, {name: partial(steps_per_second, *two) for name, two in loops.items()})
    return [
        Comparison(
            f"gpu/{network}-{N}/{way}",
            f"{shape}, batch 32, one optimizer, N = {N}, GPU",
            f"one trial at a time, {name}",
            "trial-steps/s",
            speeds["raydnn"],
            speeds[way],
        )
        for way, name in (("eager", "eager"), ("graph", "CUDA graph"))
    ]


def graph_loop(work: Work) -> Loop:
    """The plain loop, its step captured once and replayed."""
    device = work.inputs.device
    model = work.network().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=work.lr)
    rows = torch.zeros(work.batch_size, dtype=torch.long, device=device)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(work.inputs[rows]), work.targets[rows]).backward()
        optimizer.step()

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad()
    with torch.cuda.graph(graph):
        step()

    def epoch() -> None:
        order = torch.randperm(len(work.targets), device=device)
        for batch in order.split(work.batch_size)[: len(order) // work.batch_size]:
            rows.copy_(batch)
            graph.replay()
        torch.cuda.synchronize()

    return lambda: timed(epoch)
