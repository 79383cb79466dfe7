"""Wall time of whole sweeps, from command to table, against the same trials as users of other tools run them.

The peers train the configurations that raydnn proposes, on the same split of the same data, with an `nn.Module` and
a `torch.optim` optimizer each (torch_trial.py): with Ray Tune's documented function trainable (one actor a trial, or
actors that are used again), with Optuna in one process, and one after the other in one process. Every measurement is
a process of its own, started from cold; raydnn and the peers take turns. raydnn and Ray Tune train on all cores, a
thread each; the peers in one process have one thread. ASHA's verdicts depend on the order of results, so under it
not all train the same number of epochs; measured.json has the counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from measuring import ROOT, Comparison
from work import write_work

import raydnn

HERE = Path(__file__).parent
PEERS = {
    "tune": ("Ray Tune, function trainable", "ray", ["tune_trials.py", "--no-reuse"]),
    "tune-reuse": ("Ray Tune, `reuse_actors=True`", "ray", ["tune_trials.py", "--reuse"]),
    "optuna": ("Optuna, one process, one thread", "optuna", ["optuna_trials.py"]),
    "sequential": ("`nn.Module`s in turn, one process, one thread", "torch", ["sequential_trials.py"]),
}
"""Key → name in the table, package it needs, script and its options."""


@dataclass(frozen=True)
class Sweep:
    """A sweep that is timed."""

    name: str
    job: Path
    overrides: tuple[str, ...]
    peers: tuple[str, ...] = tuple(PEERS)


DIGITS = ROOT / "jobs" / "digits-asha.yaml"
ASHA = Sweep(
    "64 digits trials x 27 epochs, ASHA",
    DIGITS,
    ("search.scheduler.max_epochs=27",),
    ("tune", "tune-reuse", "optuna"),
)
FULL = Sweep("64 digits trials x 27 epochs", DIGITS, ("search.scheduler=none", "train.epochs=27"))
RATES = "{trials: 32, space: {optimizer.sgd.lr: 'loguniform(1e-3, 1e-1)'}}"
FASHION = Sweep(
    "32 Fashion-MNIST trials of 784-300-100-10 x 3 epochs",
    ROOT / "jobs" / "fashion-mlp.yaml",
    (f"search={RATES}", "train.epochs=3"),
    ("tune", "tune-reuse"),
)
PICTURES = Sweep(
    "32 CNNs of 8 and 16 channels on 10,000 pictures of 28 x 28 x 3 epochs",
    ROOT / "jobs" / "fashion-mlp.yaml",
    (
        f"search={RATES}",
        "train={epochs: 3, batch_size: 64}",
        "model={name: cnn, channels: [8, 16], widths: [32]}",
        "optimizer.momentum=0.9",
    ),
    ("tune", "tune-reuse"),
)


def measure(repeats: int, data: Path | None, key: str, sweep: Sweep) -> list[Comparison]:
    """Compare a sweep with each of its peers.

    Args:
        repeats: Timed processes of each program.
        data: Folder with Fashion-MNIST's IDX files; None: random data of the same shapes.
        key: Its name in targets.toml.
        sweep: The sweep.
    """
    missing = {peer for peer in sweep.peers if find_spec(PEERS[peer][1]) is None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = [*sweep.overrides, *_data_overrides(sweep, data, folder)]
        write_work(sweep.job, overrides, folder)
        programs: dict[str, Callable[[], float]] = {"raydnn": partial(_raydnn, sweep.job, overrides, folder)}
        programs |= {peer: partial(_peer, peer, folder) for peer in sweep.peers if peer not in missing}
        seconds: dict[str, list[float]] = {program: [] for program in programs}
        found: dict[str, Any] = {}
        for _ in range(repeats):
            for program, run in programs.items():
                seconds[program].append(run())
                found[program] = json.loads((folder / "found.json").read_text())
    return [
        Comparison(
            f"{key}/{peer}",
            sweep.name,
            PEERS[peer][0],
            "s",
            tuple(seconds["raydnn"]),
            tuple(seconds.get(peer, ())),
            absent="not installed" if peer in missing else "",
            notes=json.dumps({"raydnn": found["raydnn"], "peer": found.get(peer)}),
        )
        for peer in sweep.peers
    ]


def _data_overrides(sweep: Sweep, data: Path | None, folder: Path) -> Sequence[str]:
    """Where the data is, if the sweep does not bring it along."""
    if sweep.job == DIGITS:
        return ()
    if sweep == PICTURES:
        shape, sizes, validation = (28, 28), {"": 12_000, "test_": 2_000}, 2_000
    elif data is not None:
        return (f"data.path={data}",)
    else:
        shape, sizes, validation = (784,), {"": 60_000, "test_": 10_000}, 5_000
    draw = np.random.default_rng(0)
    arrays = {f"{part}inputs": draw.random((n, *shape), np.float32) for part, n in sizes.items()}
    arrays |= {f"{part}targets": draw.integers(10, size=n) for part, n in sizes.items()}
    np.savez(folder / "random.npz", **arrays)
    return (f"data={{name: npz, path: '{folder / 'random.npz'}', validation: {validation}}}",)


def _raydnn(job: Path, overrides: Sequence[str], folder: Path) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as storage:
        seconds = _seconds(["-m", "raydnn", "sweep", str(job), *overrides, f"storage={storage}"], folder)
        values = [value for value in raydnn.load(storage)["best_value"].to_pylist() if value is not None]
        found = {"epochs_trained": raydnn.load(storage, "epochs").num_rows, "best_value": min(values)}
        (folder / "found.json").write_text(json.dumps(found))
    return seconds


def _peer(peer: str, folder: Path) -> float:
    script, *options = PEERS[peer][2]
    return _seconds([str(HERE / script), str(folder), *options], folder)


def _seconds(arguments: Sequence[str], folder: Path) -> float:
    """Wall time of `python ARGUMENTS`, from its start to its end."""
    log = folder / "output.log"
    with log.open("w") as output:
        started = perf_counter()
        done = subprocess.run([sys.executable, *arguments], stdout=output, stderr=output, check=False)
        seconds = perf_counter() - started
    if done.returncode:
        end = "\n".join(log.read_text().splitlines()[-20:])
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{end}")
    return seconds
