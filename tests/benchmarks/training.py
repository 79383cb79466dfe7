"""Steps a second of the reference training, against the plain PyTorch loop one would write by hand.

Both train the network of jobs/fashion-mlp.yaml on the same tensors with one thread, an epoch each in turn. raydnn
measures the epoch's loss, accuracy and gradient norm on the way; the plain loop measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from pathlib import Path
from time import perf_counter

import torch
from measuring import ROOT, Comparison
from torch import nn
from torch.nn import functional

from raydnn.data.dataset import Dataset, Split
from raydnn.data.load import load_dataset
from raydnn.data.scaling import ScalingState
from raydnn.spec.load import load_job
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.train.epoch import train_epoch
from raydnn.train.loop import flat
from raydnn.train.member import Member
from raydnn.train.stack import Stack
from raydnn.train.workers import Workers

JOB = ROOT / "jobs" / "fashion-mlp.yaml"
CPU = torch.device("cpu")
BATCH_SIZES = (32, 512)
WARM_UP_EXAMPLES = 6_400

Epoch = Callable[[Split, int], None]


def measure(repeats: int, data: Path | None) -> list[Comparison]:
    """Compare the loops at each batch size.

    Args:
        repeats: Timed epochs of each loop.
        data: Folder with Fashion-MNIST's IDX files; None: random data of the same shapes, which costs the same.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_compare(batch_size, repeats, data) for batch_size in BATCH_SIZES]
    finally:
        torch.set_num_threads(threads)


def _compare(batch_size: int, repeats: int, data: Path | None) -> Comparison:
    path = [] if data is None else [f"data.path={data}"]
    trial = trial_of_job(load_job(JOB, [*path, f"train.batch_size={batch_size}"]).job)
    dataset = flat(_random_data() if data is None else load_dataset(trial.data), CPU)
    loops = {"raydnn": _raydnn_loop(trial, dataset), "plain": _plain_loop(trial, dataset)}
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    few = Split(dataset.train.inputs[:WARM_UP_EXAMPLES], dataset.train.targets[:WARM_UP_EXAMPLES])
    for loop in loops.values():
        loop(few, 1)
    steps = -(-len(dataset.train) // batch_size)
    for repeat in range(repeats):
        # Who goes first changes, so that neither always finds the warmer machine.
        for name in sorted(loops, reverse=bool(repeat % 2)):
            started = perf_counter()
            loops[name](dataset.train, repeat + 2)
            speeds[name].append(steps / (perf_counter() - started))
    return Comparison(
        f"training 784-300-100-10, SGD, batch {batch_size}, one thread",
        "plain PyTorch loop",
        "steps/s",
        tuple(speeds["raydnn"]),
        tuple(speeds["plain"]),
        "random data" if data is None else "Fashion-MNIST",
    )


def _raydnn_loop(trial: TrialSpec, dataset: Dataset) -> Epoch:
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)

    def epoch(split: Split, number: int) -> None:
        steps = -(-len(split) // trial.train.batch_size)
        rates = torch.full((steps, 1), trial.optimizer.lr, dtype=torch.float64)
        train_epoch(stack, split, number, torch.stack([rates, torch.full_like(rates, torch.nan)]))

    return epoch


def _plain_loop(trial: TrialSpec, dataset: Dataset) -> Epoch:
    torch.manual_seed(trial.seed)
    widths = [prod(dataset.features), *trial.model.widths]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], dataset.outputs))
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.optimizer.lr)

    def epoch(split: Split, number: int) -> None:
        for rows in torch.randperm(len(split)).split(trial.train.batch_size):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(split.inputs[rows]), split.targets[rows])
            loss.backward()
            optimizer.step()

    return epoch


def _random_data() -> Dataset:
    """Pixels and labels at random, in the sizes of the reference result."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        inputs = torch.rand(n, 28, 28, generator=generator)
        return Split(inputs, torch.randint(10, (n,), generator=generator))

    scaling = ScalingState("none", torch.zeros(()), torch.ones(()))
    return Dataset(split(55_000), split(5_000), split(10_000), 10, "classification", scaling)
