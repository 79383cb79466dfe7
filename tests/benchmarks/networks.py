"""Steps a second of convolutional networks, one training, against the same networks in a plain channels-last loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from loops import Loop, raydnn_loop, steps_per_second, timed
from measuring import Comparison, by_turns
from torch import Tensor, nn
from torch.nn import functional

from raydnn.data.dataset import Dataset
from raydnn.data.in_memory import InMemory
from raydnn.data.preparation import Preparation
from raydnn.data.scaling import ScalingState
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec

SGD = {"name": "sgd", "lr": 0.01, "momentum": 0.9}


def small_cnn() -> nn.Module:
    """55,338 parameters on 28 × 28: two stages and a dense layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


class Block(nn.Module):
    """A residual block of the CIFAR family with shortcut A."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])
        self.stride, self.more = stride, channels - inputs

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.norms[0](self.first(x)))
        if self.more:
            x = functional.pad(
                x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2)
            )
        return functional.relu(self.norms[1](self.second(h)) + x)


def resnet_20() -> nn.Module:
    """ResNet-20 on 3 × 32 × 32, 269,722 parameters."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for channels in (16, 32, 64):
        for number in range(3):
            layers.append(Block(inputs, channels, 2 if number == 0 and channels > 16 else 1))
            inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


WORK: dict[str, tuple[Callable[[], nn.Module], Any, tuple[int, ...], int, int]] = {
    "cnn": (
        small_cnn,
        {"name": "cnn", "channels": [16, 32], "widths": [32]},
        (1, 28, 28),
        64,
        1,
    ),
    "resnet-20": (resnet_20, {"name": "resnet", "depth": 20}, (3, 32, 32), 128, 2),
}
"""Name → plain network, the same as a job's model, shape of an example, batch size, threads."""
STEPS = 20


def measure(
    repeats: int, _data: Path | None, work: Sequence[str] = tuple(WORK), steps: int = STEPS
) -> list[Comparison]:
    """Compare one training of each network with the plain loop.

    Args:
        repeats: Timed epochs of each loop.
        work: Which of WORK.
        steps: Steps of an epoch.
    """
    return [_compare(name, repeats, steps) for name in work]


def _compare(name: str, repeats: int, steps: int) -> Comparison:
    plain, model, shape, batch_size, threads = WORK[name]
    torch.set_num_threads(threads)
    dataset = random_pictures(shape, steps * batch_size)
    trial = TrialSpec.from_training(
        Training.model_validate(
            {
                "data": "digits",
                "optimizer": SGD,
                "model": model,
                "train": {"batch_size": batch_size, "epochs": 10_000},
            }
        )
    )
    loops = {
        "raydnn": raydnn_loop([trial], dataset),
        "plain": channels_last_loop(plain(), dataset.train, batch_size),
    }
    speeds = by_turns(repeats, {key: partial(steps_per_second, loop, steps) for key, loop in loops.items()})
    return Comparison(
        f"networks/{name}/plain",
        f"{name}, {' × '.join(map(str, shape))}, SGD with momentum, batch {batch_size}, {threads} threads",
        "plain PyTorch loop, channels last",
        "steps/s",
        speeds["raydnn"],
        speeds["plain"],
    )


def random_pictures(shape: tuple[int, ...], n: int) -> Dataset:
    """Random pixels and labels of ten classes, which cost what real ones do."""
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> InMemory:
        inputs = torch.rand(count, *shape, generator=generator)
        return InMemory(inputs, torch.randint(10, (count,), generator=generator))

    scaling = ScalingState("none", torch.zeros(()), torch.ones(()))
    preparation = Preparation("classification", shape, scaling, classes=10)
    return Dataset(split(n), split(1), None, preparation)


def channels_last_loop(model: nn.Module, examples: InMemory, batch_size: int) -> Loop:
    """The loop one writes by hand for pictures, the data in memory; it measures nothing."""
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = examples.inputs.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=SGD["lr"], momentum=SGD["momentum"])

    def epoch() -> None:
        for rows in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            batch = inputs[rows].contiguous(memory_format=torch.channels_last)
            functional.cross_entropy(model(batch), examples.targets[rows]).backward()
            optimizer.step()

    return lambda: timed(epoch)
