"""64 perceptrons of random depth and width in one process, from the first start to the last end.

Three programs train the same trials on digits for the same epochs, validating after each, on one thread: raydnn in
stacks of several shapes, raydnn in a stack a shape (which was the rule before), and torch.nn.Module with torch.optim,
one trial after the other (torch_trial.py). raydnn's time has all that a stack costs besides its process: its start,
commits, states and checkpoints.

Why shapes are not padded to a common one: in the loop alone, members of a depth padded four at a time went through 2.0
times as many parameters and took as long as each by itself (SGD 1.575 s an epoch both, Adam 2.60 and 2.29 s), sixteen
at a time 2.6 times as many and took longer (2.07 and 2.95 s); a core multiplies as fast what is not padded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch_trial
from loops import CPU, timed
from measuring import Comparison, by_turns
from stacks import DIGITS_JOB, digits_data

from raydnn.data.dataset import Dataset
from raydnn.search.packing import StackPlan, pack
from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.store.run import create_run
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.stack.parts import share_of_mixed, stack_limit
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

TRIALS, EPOCHS = 64, 5
DEPTHS, WIDTHS = (1, 4), (16, 256)
"""From and to; both are drawn uniformly, each layer's width by itself."""
MEMORY_GIB = 4.0


def measure(repeats: int, data: Path | None) -> list[Comparison]:
    """Compare them, with SGD and with AdamW.

    Args:
        repeats: Measurements of each program.
        data: Not used.
    """
    torch.set_num_threads(1)
    dataset = digits_data()
    rows = []
    for optimizer in ("sgd", "adamw"):
        trials = draw_trials(optimizer)
        fits = stack_limit(MEMORY_GIB, dataset, 0)
        shares = share_of_mixed(dataset, 0), None
        mixed, apart = (pack(trials, TRIALS, fits, share=share) for share in shares)
        measures: dict[str, Callable[[], float]] = {
            "mixed": partial(train_stacks, mixed, dataset),
            "apart": partial(train_stacks, apart, dataset),
            "torch": partial(train_in_torch, trials, dataset),
        }
        found = by_turns(repeats, measures)
        what = (
            f"{TRIALS} MLPs of depth {DEPTHS[0]}-{DEPTHS[1]} and width {WIDTHS[0]}-{WIDTHS[1]}, {optimizer}"
        )
        peers = {
            "torch": "sequential `nn.Module` + `torch.optim`",
            "apart": f"raydnn, a stack a shape ({len(apart)} instead of {len(mixed)})",
        }
        rows += [
            Comparison(f"shapes/{optimizer}/{key}", what, peer, "s", found["mixed"], found[key])
            for key, peer in peers.items()
        ]
    return rows


def draw_trials(optimizer: str) -> list[TrialSpec]:
    """The trials: nothing but their shapes, learning rates and initial weights differs."""
    draw = Random(0)
    overrides = ["search=null", f"train.epochs={EPOCHS}", "train.batch_size=32", f"optimizer={optimizer}"]
    trial = trial_of_job(load_job(DIGITS_JOB, overrides).job)
    shapes = [[draw.randint(*WIDTHS) for _ in range(draw.randint(*DEPTHS))] for _ in range(TRIALS)]
    configs: list[dict[str, Any]] = [
        {
            **trial.model_dump(),
            "model": {"name": "mlp", "widths": widths},
            "optimizer": {"name": optimizer, "lr": 10 ** draw.uniform(-4, -2)},
            "init": "glorot_uniform",
        }
        for widths in shapes
    ]
    return [TrialSpec.model_validate(config) for config in configs]


def train_stacks(plans: Sequence[StackPlan], dataset: Dataset) -> float:
    """Seconds of raydnn's sessions of all stacks, one after the other."""

    def go_on(_epoch: int, _members: Sequence[Member]) -> Mapping[int, Verdict]:
        return {}

    with TemporaryDirectory() as folder:
        run = create_run(folder, "shapes", "", {"metric": "validation_loss", "mode": "min"})

        def every() -> None:
            for plan in plans:
                run_stack(
                    run,
                    plan,
                    scheduler="none",
                    judge=go_on,
                    workers=Workers(),
                    device=CPU,
                    dataset=lambda _spec, _device: dataset,
                )

        return timed(every)


def train_in_torch(trials: Sequence[TrialSpec], dataset: Dataset) -> float:
    """Seconds of the peer."""
    parts = {"": dataset.train, "validation_": dataset.validation}
    tensors = {f"{name}inputs": part.inputs.flatten(1) for name, part in parts.items()}
    tensors |= {f"{name}targets": part.targets for name, part in parts.items()}
    return timed(lambda: [list(torch_trial.train(trial.model_dump(), tensors)) for trial in trials])
