"""Trial-steps a second of a stack of N trials, against N sequential runs in one warm process, and against the core.

A sequential run is a torch.nn.Module with its torch.optim optimizer (torch_trial.py). Its speed does not depend on N,
so at most MOST of the N trials are run. Everything uses one thread; neither side validates. The peak is that of a
large torch.mm in the same process, measured by turns with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from pathlib import Path

import torch
import torch_trial
from loops import CPU, REFERENCE_JOB, Loop, raydnn_loop, reference_data, steps_per_second, timed
from measuring import ROOT, Comparison, by_turns

from raydnn.data.dataset import Dataset
from raydnn.data.load import load_dataset
from raydnn.search.algorithms.registry import propose
from raydnn.space.space import build_space
from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import TrialSpec

DIGITS_JOB = ROOT / "jobs" / "digits-asha.yaml"
ONE = "one optimizer"
MIXED = "mixed"
RATES = "loguniform(1e-3, 1e-1)"
COUNTS = (1, 4, 16, 64, 256, 1024)
REFERENCE_COUNTS = (1, 4, 16, 64)
REFERENCE_EXAMPLES = 2_048
OF_PEAK = (("reference", ONE, 1), ("reference", ONE, 4), ("digits", ONE, 64))
"""(network, kind, N) of which the fraction of the peak is reported."""
MOST = 8
SIDE = 2_048
"""Rows and columns of the matrices whose product shows the peak."""


def measure(
    repeats: int,
    data: Path | None,
    counts: Sequence[int] = COUNTS,
    reference_counts: Sequence[int] = REFERENCE_COUNTS,
) -> list[Comparison]:
    """Compare stacks of every size, of small and of large members.

    Args:
        repeats: Measurements of each program.
        data: Folder with Fashion-MNIST's IDX files; None: random data of the same shapes.
        counts: Sizes of the stacks of small members.
        reference_counts: Sizes of the stacks of the reference network.
    """
    torch.set_num_threads(1)
    digits, reference = digits_data(), reference_data(data, REFERENCE_EXAMPLES)
    rows = [
        row for kind in (ONE, MIXED) for n in counts for row in _compare("digits", kind, n, repeats, digits)
    ]
    return rows + [row for n in reference_counts for row in _compare("reference", ONE, n, repeats, reference)]


def digits_data() -> Dataset:
    """The data of jobs/digits-asha.yaml."""
    return load_dataset(load_job(DIGITS_JOB, []).job.data).to(CPU)


def draw_trials(network: str, kind: str, n: int) -> list[TrialSpec]:
    """N trials of batch 32 with one shape.

    Args:
        network: `digits`: 64-64-10; `reference`: 784-300-100-10.
        kind: `mixed` draws optimizers, schedules, activations, initializers and dropout as the demo sweep does;
            `one optimizer` is SGD with a rate of each trial's own.
        n: Number of trials.
    """
    widths = {"digits": [64], "reference": [300, 100]}[network]
    overrides = [f"model.widths={widths}", "train.epochs=10000"]
    if kind == ONE:
        job = REFERENCE_JOB
        overrides.append(f"search={{trials: {n}, space: {{optimizer.sgd.lr: '{RATES}'}}}}")
    else:
        job = DIGITS_JOB
        overrides += [f"search.trials={n}", "search.scheduler=none", "search.space.train.batch_size=32"]
    loaded = load_job(job, overrides)
    return propose(build_space(loaded.job, loaded.positions), loaded.job)


def flops_of_example(inputs: int, widths: Sequence[int]) -> int:
    """Floating-point operations that one example costs a perceptron in training.

    Each layer of F inputs and O outputs needs three products of 2 F O operations: outputs, gradient of the weights,
    gradient of the inputs; the first needs no gradient of its inputs.
    """
    products = [2 * fan_in * fan_out for fan_in, fan_out in zip([inputs, *widths], widths, strict=False)]
    return 3 * sum(products) - products[0]


def _compare(network: str, kind: str, n: int, repeats: int, dataset: Dataset) -> list[Comparison]:
    trials = draw_trials(network, kind, n)
    few, steps = trials[:MOST], -(-len(dataset.train) // 32)
    measures: dict[str, Callable[[], float]] = {
        "raydnn": partial(steps_per_second, raydnn_loop(trials, dataset), n * steps),
        "torch": partial(steps_per_second, sequential_loop(few, dataset), len(few) * steps),
    }
    if (network, kind, n) in OF_PEAK:
        measures["peak"] = sgemm_peak
    found = by_turns(repeats, measures)
    shape = {"digits": "64-64-10", "reference": "784-300-100-10"}[network]
    what = f"{shape}, batch 32, {kind}, N = {n}"
    key = f"stacks/{network}-{kind.replace(' ', '-')}-{n}"
    peer = f"sequential `nn.Module` + `torch.optim`, {len(few)} measured"
    rows = [Comparison(f"{key}/torch", what, peer, "trial-steps/s", found["raydnn"], found["torch"])]
    if "peak" in found:
        flops = flops_of_example(prod(dataset.features), [*trials[0].model.widths, 10])
        gigaflop_a_step = flops * len(dataset.train) / steps / 1e9
        ours = tuple(speed * gigaflop_a_step for speed in found["raydnn"])
        peak = (f"{key}/peak", what, "this core's sgemm peak", "GFLOP/s")
        rows.append(Comparison(*peak, ours, found["peak"], share=True))
    return rows


def sequential_loop(trials: Sequence[TrialSpec], dataset: Dataset) -> Loop:
    """An epoch of each trial, one trial after the other."""
    tensors = {"inputs": dataset.train.inputs.flatten(1), "targets": dataset.train.targets}
    epochs = [torch_trial.train(trial.model_dump(), tensors, validate=False) for trial in trials]

    return lambda: timed(lambda: [next(each) for each in epochs])


def sgemm_peak() -> float:
    """GFLOP/s of a product of two large matrices."""
    left, right, out = torch.rand(3, SIDE, SIDE)
    return 2 * SIDE**3 / 1e9 / timed(lambda: torch.mm(left, right, out=out))
