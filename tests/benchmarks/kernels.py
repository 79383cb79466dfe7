"""Kernels that a step launches, counted on a pretend device: they decide how fast small stacks are on a GPU.

They are the same on every machine, and may only become fewer: CASES holds them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from measuring import Comparison
from torch.nn import functional

from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec

ROOT = Path(__file__).parents[1]
N = 8
WIDTHS = [16, 12]
BATCH = 32
STEPS = (4, 12)
"""Steps of a short and of a long epoch: what the one has more is its steps'."""


def _trials(**fields: Any) -> list[TrialSpec]:
    given = {
        "data": {"name": "digits"},
        "model": {"name": "mlp", "widths": WIDTHS},
        "activation": "relu",
        "train": {"batch_size": BATCH, **fields.pop("train", {})},
        **fields,
    }
    return [TrialSpec.from_training(Training.model_validate(given))] * N


def _eleven() -> list[TrialSpec]:
    return [_trials(optimizer=name)[0] for name in components("optimizer")]


ADAM = {"name": "adam", "lr": 0.01}
CASES: dict[str, tuple[str, list[TrialSpec], int]] = {
    "sgd": ("SGD", _trials(optimizer={"name": "sgd", "lr": 0.1}), 24),
    "momentum": ("SGD with momentum", _trials(optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9}), 27),
    "adam": ("Adam", _trials(optimizer=ADAM), 31),
    "dropout": ("Adam, dropout", _trials(optimizer=ADAM, regularization={"dropout": 0.3}), 41),
    "eleven": ("eleven optimizers", _eleven(), 149),
    "much": (
        "AdamW, batch norm, dropout, L2, clipping",
        _trials(
            optimizer={"name": "adamw", "lr": 0.01},
            normalization="batch_norm",
            regularization={"dropout": 0.3, "l2": 1e-4},
            train={"clip": "norm"},
        ),
        88,
    ),
}
"""Name → what it is, the stack's trials, and the most kernels of a step."""


def measure(repeats: int, data: Path | None) -> list[Comparison]:
    """Count the kernels of a step of several stacks, and of one trial's in the plain PyTorch loop.

    Args:
        repeats: Not used: every count is the same.
        data: Not used.
    """
    return [
        Comparison(
            f"kernels/{name}",
            f"kernels a step, 64-16-12-10, N = {len(trials)}: {what}",
            "plain PyTorch loop, one trial" if name in PLAIN else "none",
            "kernels",
            (float(kernels_a_step(trials)),),
            (float(plain_kernels_a_step(PLAIN[name])),) if name in PLAIN else (),
            "" if name in PLAIN else "not counted",
        )
        for name, (what, trials, _) in CASES.items()
    ]


def kernels_a_step(trials: Sequence[TrialSpec]) -> int:
    """Kernels of a captured step, all that belongs to it included."""
    with _pretending() as device:
        short, long = (_kernels_of_epoch(trials, steps, device) for steps in STEPS)
    return round((long - short) / (STEPS[1] - STEPS[0]))


def _kernels_of_epoch(trials: Sequence[TrialSpec], steps: int, device: Any) -> int:
    from pretend_device import GPU

    from raydnn.data.in_memory import InMemory
    from raydnn.data.load import load_dataset
    from raydnn.training.epoch import train_epoch
    from raydnn.training.stack.member import Member
    from raydnn.training.stack.stack import Stack
    from raydnn.training.steps.passes import Passes
    from raydnn.training.workers import Workers

    dataset = load_dataset(trials[0].data).to(GPU)
    split = InMemory(dataset.train.inputs[: steps * BATCH], dataset.train.targets[: steps * BATCH])
    stack = Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), GPU)
    passes = Passes(stack, split)
    rates = torch.full((2, steps, len(trials)), 0.01, dtype=torch.float64)
    train_epoch(passes, 1, rates)
    assert device.captures, "its steps are captured"
    device.kernels.clear()
    train_epoch(passes, 2, rates)
    return int(device.kernels.total())


@contextmanager
def _pretending() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "training"))
    from pretend_device import PretendDevice, training_on

    device = PretendDevice()
    with training_on(device), device:
        yield device
    sys.path.remove(str(ROOT / "training"))


PLAIN: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
}


def plain_kernels_a_step(optimizer: type[torch.optim.Optimizer]) -> int:
    """Kernels of a step of the plain loop with one trial."""
    with _pretending() as device:
        from pretend_device import GPU

        sizes = [64, *WIDTHS, 10]
        layers = [(torch.zeros(o, i, device=GPU), torch.zeros(o, device=GPU)) for i, o in pairwise(sizes)]
        parameters = [tensor.requires_grad_() for layer in layers for tensor in layer]
        stepping = optimizer(parameters, lr=0.01)
        inputs, targets = torch.zeros(64, 64, device=GPU), torch.zeros(64, dtype=torch.long, device=GPU)
        rows = torch.zeros(BATCH, dtype=torch.long, device=GPU)
        for _ in range(2):
            device.kernels.clear()
            stepping.zero_grad()
            x = inputs[rows]
            for number, (weight, bias) in enumerate(layers):
                x = functional.linear(x if number == 0 else x.relu(), weight, bias)
            functional.cross_entropy(x, targets[rows]).backward()
            stepping.step()
        return int(device.kernels.total())
