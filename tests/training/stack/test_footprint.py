"""The estimate of a stack's memory against what a process really takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.data.augmentation.augment import numbers_held
from raydnn.data.load import load_dataset
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.spec.trial import TrialSpec
from raydnn.training.stack.footprint import disk_bytes, footprint, most_in_memory

ROOT = Path(__file__).parents[3]

MEASURE = """
import json, re, sys, tempfile, torch
from raydnn.data.load import load_dataset
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.storage.files import locate
from raydnn.training.checkpoint import save_checkpoint
from raydnn.training.stack.footprint import footprint
from raydnn.training.loop import train
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
torch.set_num_threads(1)
count, fields, tiny = json.loads(sys.argv[1])
trial = TrialSpec.from_training(Training.model_validate(fields))
dataset = load_dataset(trial.data).to(CPU)

def peak(trial, count):
    stack = Stack([Member(number, trial) for number in range(count)], dataset, Workers(), CPU)
    for _ in train(stack, dataset, 1):
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(locate(folder) / "state", stack.state_tensors(), {})
        break
    # not ru_maxrss, which a child takes over from the process that starts it
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024

# The same network as small as can be: what the process and torch's machinery take.
base = peak(TrialSpec.from_training(Training.model_validate(tiny)), 1)
print(json.dumps([peak(trial, count) - base, footprint([trial] * count, dataset)]))
"""


NETWORKS = """
from torch import nn

class Convolutional(nn.Module):
    def __init__(self, inputs, outputs, channels, dropout=0.0):
        super().__init__()
        self.side = int(inputs**0.5)
        self.body = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(2 * channels * (self.side // 2) ** 2, outputs), nn.Dropout(dropout) if dropout else nn.Identity(),
        )

    def forward(self, inputs):
        return self.body(inputs.view(-1, 1, self.side, self.side))
"""


def _convolutional(channels: int, **arguments: float) -> dict[str, Any]:
    return {
        "name": "module",
        "path": "their_networks:Convolutional",
        "arguments": {"channels": channels, **arguments},
    }


TRANSFORMER = {"name": "transformer", "layers": 2, "heads": 2}
RECONSTRUCTED = {"data": {"name": "digits", "reconstruct": True}}
DROPPED = {"regularization": {"dropout": 0.2}, "normalization": "batch_norm"}


@pytest.mark.parametrize(
    ("members", "model", "tiny", "batch_size", "more"),
    [
        (32, {"widths": [256, 256]}, {"widths": [2]}, 512, {}),
        (32, {"widths": [256, 256]}, {"widths": [2]}, 512, DROPPED),
        pytest.param(64, _convolutional(16), _convolutional(1), 16, {}, marks=pytest.mark.slow),
        (16, _convolutional(32), _convolutional(1), 256, {}),
        pytest.param(
            16,
            _convolutional(16, dropout=0.5),
            _convolutional(1, dropout=0.5),
            512,
            {},
            marks=pytest.mark.slow,
        ),
        (1, {"name": "cnn", "channels": [128, 64]}, {"name": "cnn", "channels": [2]}, 1024, {}),
        (
            1,
            {"name": "cnn", "channels": [64, 32], "convolutions": 2, "pooling": "average"},
            {"name": "cnn", "channels": [2]},
            1024,
            DROPPED,
        ),
        pytest.param(
            1,
            {"name": "resnet", "depth": 20, "shortcut": "B"},
            {"name": "resnet", "depth": 8, "width": 2},
            1024,
            {},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            2,
            {**TRANSFORMER, "width": 128, "feedforward": 512},
            {**TRANSFORMER, "width": 4},
            512,
            {},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            4,
            {"name": "lstm", "units": 256, "bidirectional": True},
            {"name": "lstm", "units": 2},
            1024,
            {},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            8,
            {"name": "gru", "units": 256, "bidirectional": True},
            {"name": "gru", "units": 2},
            512,
            {},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            16,
            {"name": "rnn", "units": 256, "layers": 2},
            {"name": "rnn", "units": 2},
            1024,
            {"regularization": {"dropout": 0.2}},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            16,
            {"name": "autoencoder", "widths": [512, 64]},
            {"name": "autoencoder", "widths": [2]},
            512,
            RECONSTRUCTED,
            marks=pytest.mark.slow,
        ),
    ],
    ids=[
        "dense",
        "dropout and batch norm",
        "evaluation of a convolution",
        "convolution",
        "in turn",
        "cnn",
        "cnn with dropout and batch norm",
        "resnet",
        "transformer",
        "lstm",
        "gru",
        "rnn",
        "autoencoder",
    ],
)
def test_the_estimate_is_near_the_measured_peak(
    members: int,
    model: dict[str, Any],
    tiny: dict[str, Any],
    batch_size: int,
    more: dict[str, Any],
    tmp_path: Path,
) -> None:
    (tmp_path / "their_networks.py").write_text(NETWORKS)
    fields = {"data": "digits", "optimizer": "adam", **more}
    large = {**fields, "model": model, "train": {"batch_size": batch_size}}
    small = {**fields, "model": tiny, "train": {"batch_size": 2}}
    given = json.dumps([members, large, small])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, given], capture_output=True, text=True, check=True, env=environment
    )
    measured, estimated = json.loads(done.stdout)
    assert measured > 100 * 2**20
    assert 0.7 * measured < estimated < 1.4 * measured


def test_a_stack_is_cut_to_the_memory_it_may_take(make_trial: Callable[..., TrialSpec]) -> None:
    small, large = (make_trial(model={"widths": [width, width]}) for width in (8, 1024))
    dataset = load_dataset(small.data).to(torch.device("cpu"))
    for trial in (small, large):
        most = most_in_memory(0.25, dataset)([trial] * 3)
        assert footprint([trial] * most, dataset) <= 0.25 * 2**30 < footprint([trial] * 2 * most, dataset)
    assert most_in_memory(0.25, dataset)([small, large]) == most_in_memory(0.25, dataset)([large])
    assert most_in_memory(1e-9, dataset)([large]) == 1


def test_what_augmentation_holds_counts_where_the_layers_keep_less(
    make_trial: Callable[..., TrialSpec],
) -> None:
    def estimated(*augmentations: dict[str, Any]) -> int:
        trials = [
            make_trial(data="color_pictures", train={"batch_size": "full", "augmentation": each})
            for each in augmentations
        ]
        return footprint(trials, load_dataset(trials[0].data))

    heavy = {"randaugment": 2}
    held = 4 * 120 * numbers_held(Augmentation.model_validate(heavy), (3, 8, 8))
    assert held < estimated(heavy) < held + 2 * estimated({})
    # Members with one seed and one augmentation share what they see.
    assert estimated(heavy, heavy) < 1.5 * estimated(heavy)
    assert estimated(heavy, {}) > 2 * held
    assert estimated({"flip": 0.5}) < estimated(heavy)


def test_what_a_stack_takes_of_a_disk(make_trial: Callable[..., TrialSpec]) -> None:
    """Adam keeps two numbers a parameter, and the best ones; a state is there twice while the next is written."""
    trial = make_trial(optimizer="adam", train={"epochs": 10})
    assert disk_bytes([trial], 1000) == 2 * (4000 + 8000 + 4000) + 4000 + 10 * 8192
    without = make_trial(optimizer="adam", train={"epochs": 10, "checkpoint_every_epochs": 0})
    assert disk_bytes([without], 1000) == 4000 + 10 * 8192


OF_SHAPES = (
    MEASURE.split("count, fields, tiny", maxsplit=1)[0].replace(
        "from raydnn.training.stack.stack import Stack",
        "from raydnn.training.stack.exploit import of_all\nfrom raydnn.training.stack.parts import cut",
    )
    + """
shapes, tiny = ([TrialSpec.from_training(Training.model_validate(f)) for f in fs] for fs in json.loads(sys.argv[1]))
dataset = load_dataset(tiny[0].data).to(CPU)

def peak(trials):
    parts = cut([Member(number, trial) for number, trial in enumerate(trials)], dataset, Workers(), CPU)
    loops = [train(part, dataset, 1) for part in parts]
    for _ in range(6):  # steps are captured meanwhile
        for loop in loops:
            next(loop)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(locate(folder) / "state", of_all(parts), {})
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

base = peak(tiny)
print(json.dumps([peak(shapes) - base, footprint(shapes, dataset)]))
"""
)


@pytest.mark.slow
def test_the_estimate_of_several_shapes_is_near_the_measured_peak() -> None:
    fields = {"data": "digits", "optimizer": "adam", "train": {"batch_size": 512, "epochs": 50}}
    shapes = [{**fields, "model": {"widths": [1000 - 60 * k, 700 + 30 * k]}} for k in range(8)]
    given = json.dumps([shapes, [{**fields, "model": {"widths": [2]}}]])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", OF_SHAPES, given], capture_output=True, text=True, check=True, env=environment
    )
    measured, estimated = json.loads(done.stdout)
    assert measured > 100 * 2**20
    assert 0.7 * measured < estimated < 1.4 * measured
