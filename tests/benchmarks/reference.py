"""The reference training beside plain PyTorch on the same examples, and beside the published run.

python tests/benchmarks/reference.py FOLDER      trains jobs/fashion-mlp.yaml and PyTorch on FOLDER's IDX files
python tests/benchmarks/reference.py             draws what reference.json has
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import reference_plot
import torch
import torch_trial
from loops import REFERENCE_JOB
from measuring import machine
from reference_table import numbers
from torch import Tensor, nn
from torch.nn import functional

import raydnn
from raydnn.data.dataset import Dataset
from raydnn.data.examples import Examples
from raydnn.data.load import load_dataset
from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import trial_of_job

MEASURED = Path(__file__).parent / "reference.json"
SEEDS = (0, 1, 2)


def measure(folder: Path, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Train the reference job with each seed, by raydnn and by plain PyTorch.

    Args:
        folder: Fashion-MNIST's four IDX files, perhaps split anew.
        overrides: Fields of the job to change.

    Returns:
        What reference.json holds.
    """
    given = [f"data.path={folder}", *overrides]
    dataset = load_dataset(load_job(REFERENCE_JOB, given).job.data)
    return {
        "machine": machine(),
        "examples": dataset.examples,
        "raydnn": [by_raydnn([*given, f"seed={seed}"]) for seed in SEEDS],
        "torch": [by_torch(dataset, [*given, f"seed={seed}"]) for seed in SEEDS],
    }


def by_raydnn(overrides: Sequence[str]) -> dict[str, Any]:
    """The curves of a training by the command line, and the test metrics of its best epoch."""
    with tempfile.TemporaryDirectory() as storage:
        command = [sys.executable, "-m", "raydnn", "train", str(REFERENCE_JOB), f"storage={storage}"]
        subprocess.run([*command, *overrides], check=True, stdout=subprocess.DEVNULL)
        epochs = raydnn.load(storage, "epochs").to_pydict()
        (trial,) = raydnn.load(storage).to_pylist()
    curves = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return {name: epochs[name] for name in curves} | {
        f"test_{what}": trial[f"m_test_{what}"] for what in ("loss", "accuracy")
    }


def by_torch(dataset: Dataset, overrides: Sequence[str]) -> dict[str, Any]:
    """The same by a loop as one writes it in PyTorch; training metrics are not measured."""
    trial = trial_of_job(load_job(REFERENCE_JOB, overrides).job).model_dump()
    torch.manual_seed(trial["seed"])
    inputs, targets = _tensors(dataset.train)
    model = torch_trial.perceptron(trial, inputs.shape[1:], dataset.outputs)
    optimizer = torch_trial.optimizer_of(trial, model)
    assert dataset.test is not None
    found, tested = [], []
    for _ in range(trial["train"]["epochs"]):
        for rows in torch.randperm(len(inputs)).split(trial["train"]["batch_size"]):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        found.append(_evaluate(model, dataset.validation))
        tested.append(_evaluate(model, dataset.test))
    losses, accuracies = map(list, zip(*found, strict=True))
    loss, accuracy = tested[losses.index(min(losses))]
    return {
        "validation_loss": losses,
        "validation_accuracy": accuracies,
        "test_loss": loss,
        "test_accuracy": accuracy,
    }


@torch.no_grad()
def _evaluate(model: nn.Module, part: Examples) -> tuple[float, float]:
    inputs, targets = _tensors(part)
    outputs = model(inputs)
    right = (outputs.argmax(dim=1) == targets).double().mean()
    return functional.cross_entropy(outputs, targets).item(), right.item()


def _tensors(part: Examples) -> tuple[Tensor, Tensor]:
    """All inputs (n, F) and targets (n,)."""
    ((inputs, targets),) = part.chunks(len(part))
    return inputs.flatten(1), targets


def main() -> None:
    """Train if a folder is given, print the numbers and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder with Fashion-MNIST's four IDX files")
    given = parser.parse_args()
    if given.folder is not None:
        MEASURED.write_text(json.dumps(measure(given.folder.resolve()), indent=2) + "\n")
    measured = json.loads(MEASURED.read_text())
    print(numbers(measured))
    reference_plot.draw(measured, reference_plot.PICTURE)
    print(f"wrote {reference_plot.PICTURE}; `python tests/test_readme.py` puts the numbers into README.md")


if __name__ == "__main__":
    main()
