"""The estimate of a stack's memory against what a process really takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import torch

from raydnn.data.load import load_dataset
from raydnn.spec.trial import TrialSpec
from raydnn.train.stack.footprint import disk_bytes, footprint, most_in_memory

MEASURE = """
import json, re, sys, tempfile, torch
from raydnn.data.load import load_dataset
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.files import locate
from raydnn.train.checkpoint import save_checkpoint
from raydnn.train.stack.footprint import footprint
from raydnn.train.loop import train
from raydnn.train.stack.member import Member
from raydnn.train.stack.stack import Stack
from raydnn.train.workers import Workers

CPU = torch.device("cpu")
torch.set_num_threads(1)
count, fields = json.loads(sys.argv[1])
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

tiny = trial.model_copy(update={"model": trial.model.model_copy(update={"widths": (2,)})})
base = peak(tiny, 1)
print(json.dumps([peak(trial, count) - base, footprint([trial] * count, dataset)]))
"""


def test_the_estimate_is_near_the_measured_peak() -> None:
    fields = {"model": {"widths": [256, 256]}, "optimizer": "adam", "train": {"batch_size": 512}}
    given = json.dumps([32, {"data": "digits", **fields}])
    done = subprocess.run([sys.executable, "-c", MEASURE, given], capture_output=True, text=True, check=True)
    measured, estimated = json.loads(done.stdout)
    assert measured > 100 * 2**20
    assert measured / 1.5 < estimated < measured * 1.5


def test_a_stack_is_cut_to_the_memory_it_may_take(make_trial: Callable[..., TrialSpec]) -> None:
    small, large = (make_trial(model={"widths": [width, width]}) for width in (8, 1024))
    dataset = load_dataset(small.data).to(torch.device("cpu"))
    for trial in (small, large):
        most = most_in_memory(0.25, dataset)([trial] * 3)
        assert footprint([trial] * most, dataset) <= 0.25 * 2**30 < footprint([trial] * 2 * most, dataset)
    assert most_in_memory(0.25, dataset)([small, large]) == most_in_memory(0.25, dataset)([large])
    assert most_in_memory(1e-9, dataset)([large]) == 1


def test_what_a_stack_takes_of_a_disk(make_trial: Callable[..., TrialSpec]) -> None:
    """Adam keeps two numbers a parameter, and the best ones; a state is there twice while the next is written."""
    trial = make_trial(optimizer="adam", train={"epochs": 10})
    assert disk_bytes([trial], 1000) == 2 * (4000 + 8000 + 4000) + 4000 + 10 * 8192
    without = make_trial(optimizer="adam", train={"epochs": 10, "checkpoint_every_epochs": 0})
    assert disk_bytes([without], 1000) == 4000 + 10 * 8192
