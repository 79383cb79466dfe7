"""Training loops that are measured again and again: raydnn's own, and the plain PyTorch loop one writes by hand.

A loop is made once, and each call of it trains one epoch and gives the seconds that this took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import torch
from measuring import ROOT
from torch import Tensor, nn
from torch.nn import functional

from raydnn.data.dataset import Dataset
from raydnn.data.in_memory import InMemory
from raydnn.data.load import load_dataset
from raydnn.data.preparation import Preparation
from raydnn.data.scaling import ScalingState
from raydnn.search.packing import pack
from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.training.loop import train
from raydnn.training.process import fit_for_training
from raydnn.training.stack.member import Member
from raydnn.training.stack.parts import cut
from raydnn.training.workers import Workers

REFERENCE_JOB = ROOT / "jobs" / "fashion-mlp.yaml"
CPU = torch.device("cpu")
SECONDS = 0.5
"""What a measurement takes at least."""

Loop = Callable[[], float]


@dataclass(frozen=True)
class Work:
    """One training of a perceptron by stochastic gradient descent, as every loop is given it."""

    inputs: Tensor
    """float32 (n, F)."""
    targets: Tensor
    """int64 (n,)."""
    widths: tuple[int, ...]
    """From the features to the classes: 784, 300, 100, 10."""
    batch_size: int
    lr: float

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.targets) // self.batch_size)

    def network(self) -> nn.Sequential:
        """The network as one writes it in PyTorch."""
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(self.widths[:-1]):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.widths[-2], self.widths[-1]))


def reference_trial(batch_size: int) -> TrialSpec:
    """The trial of jobs/fashion-mlp.yaml: 784-300-100-10, SGD."""
    return trial_of_job(load_job(REFERENCE_JOB, [f"train.batch_size={batch_size}"]).job)


def reference_data(folder: Path | None, examples: int) -> Dataset:
    """Fashion-MNIST from its IDX files, or random pixels and labels of the same shapes, which cost the same.

    Args:
        folder: Folder with the four files; None: random data.
        examples: Training examples, at most.
    """
    if folder is not None:
        dataset = load_dataset(load_job(REFERENCE_JOB, [f"data.path={folder}"]).job.data).to(CPU)
        return replace(dataset, train=_first(dataset.train, examples), test=None)
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> InMemory:
        inputs = torch.rand(n, 28, 28, generator=generator)
        return InMemory(inputs, torch.randint(10, (n,), generator=generator))

    scaling = ScalingState("none", torch.zeros(()), torch.ones(()))
    preparation = Preparation("classification", (784,), scaling, classes=10)
    return Dataset(split(examples), split(1), None, preparation)


def without_validation(dataset: Dataset) -> Dataset:
    """A data set whose validation part is one example: raydnn cannot go without, and the peers do."""
    return replace(dataset, validation=_first(dataset.validation, 1), test=None)


def _first(split: InMemory, n: int) -> InMemory:
    return InMemory(split.inputs[:n].clone(), split.targets[:n].clone())


def work_of(trial: TrialSpec, dataset: Dataset) -> Work:
    """What the peers are given where raydnn is given `trial` and `dataset`."""
    inputs, targets = dataset.train.inputs.flatten(1), dataset.train.targets
    widths = (inputs.shape[1], *trial.model.widths, dataset.outputs)
    assert trial.train.batch_size is not None
    return Work(inputs, targets, widths, trial.train.batch_size, trial.optimizer.lr)


def raydnn_loop(trials: Sequence[TrialSpec], dataset: Dataset, device: torch.device = CPU) -> Loop:
    """All of an epoch as `raydnn` trains it: schedules, steps, metrics, evaluation, rows.

    Args:
        trials: Trials of one shape; together in one stack, if raydnn packs them so.
        dataset: The data.
        device: Where to train.
    """
    there = without_validation(dataset).to(device)
    members = [[Member(number, trial) for number, trial in plan.trials] for plan in pack(trials, len(trials))]
    stacks = [part for stack in members for part in cut(stack, there, Workers(), device)]
    epochs = [train(stack, there, 1) for stack in stacks]

    def one_epoch() -> None:
        # Freed memory stays with the process afterwards as well: the peers in it gain by that, too.
        with fit_for_training():
            for each in epochs:
                next(each)

    return lambda: timed(one_epoch)


def plain_loop(work: Work) -> Loop:
    """The loop one writes by hand, the data in memory; it measures nothing. Trains where the data is."""
    device = work.inputs.device
    model = work.network().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=work.lr)

    def epoch() -> None:
        for rows in torch.randperm(len(work.targets), device=device).split(work.batch_size):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(work.inputs[rows]), work.targets[rows])
            loss.backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return lambda: timed(epoch)


def steps_per_second(loop: Loop, steps: int) -> float:
    """Steps a second over as many epochs as take SECONDS.

    Args:
        loop: The loop.
        steps: Steps of an epoch, over all trials.
    """
    seconds, epochs = 0.0, 0
    while seconds < SECONDS or not epochs:
        seconds += loop()
        epochs += 1
    return epochs * steps / seconds


def timed(function: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    started = perf_counter()
    function()
    return perf_counter() - started
