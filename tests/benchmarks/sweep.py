"""Wall time of the demo sweep, from command to results, against the same trials as a Ray Tune user would run them.

The peer (`tune_trials.py`) trains the configurations that raydnn proposes, on the same split of the same data, with
Ray Tune's documented function trainable: one actor a trial, or actors that are used again. Every measurement is a
process of its own, started from cold; raydnn and the peers take turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from measuring import ROOT, Comparison

import raydnn
from raydnn.data.load import load_dataset
from raydnn.search.algorithms import propose
from raydnn.space.space import build_space
from raydnn.spec.load import load_job
from raydnn.spec.search import Asha

JOB = ROOT / "jobs" / "digits-asha.yaml"
EPOCHS = 27
SEARCHES = {"ASHA": [], "no scheduler": ["search.scheduler=none", f"train.epochs={EPOCHS}"]}
"""Name → overrides of the job."""
PEERS = {
    "Ray Tune, function trainable": ["--no-reuse"],
    "Ray Tune, function trainable, `reuse_actors=True`": ["--reuse"],
}


def measure(repeats: int, searches: tuple[str, ...] = tuple(SEARCHES)) -> list[Comparison]:
    """Compare each search with each peer.

    Args:
        repeats: Timed processes of each program.
        searches: Which of SEARCHES.
    """
    return [comparison for search in searches for comparison in _compare(search, repeats)]


def _compare(search: str, repeats: int) -> list[Comparison]:
    overrides = SEARCHES[search]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trials = _write_work(overrides, folder)
        ours: list[float] = []
        theirs: dict[str, list[float]] = {peer: [] for peer in PEERS}
        found: dict[str, dict[str, Any]] = {}
        for repeat in range(repeats):
            storage = folder / f"results-{repeat}"
            command = ["-m", "raydnn", "sweep", str(JOB), *overrides, f"storage={storage}"]
            ours.append(_seconds(command, folder))
            found["raydnn"] = _what_raydnn_did(storage)
            for peer, options in PEERS.items():
                script = str(Path(__file__).parent / "tune_trials.py")
                theirs[peer].append(_seconds([script, str(folder), *options], folder))
                found[peer] = json.loads((folder / "found.json").read_text())
    return [
        Comparison(
            f"sweep of {trials} digits trials, {search}",
            peer,
            "s",
            tuple(ours),
            tuple(theirs[peer]),
            json.dumps({"raydnn": found["raydnn"], "peer": found[peer]}),
        )
        for peer in PEERS
    ]


def _write_work(overrides: list[str], folder: Path) -> int:
    """Write what the peer needs: configurations, data, and the scheduler's settings."""
    loaded = load_job(JOB, overrides)
    search = loaded.job.search
    assert search is not None
    trials = propose(build_space(loaded.job, loaded.places), loaded.job)
    asha = search.scheduler
    work = {
        "trials": [json.loads(trial.config_json) for trial in trials],
        "metric": search.metric,
        "mode": search.direction,
        "asha": None,
    }
    if isinstance(asha, Asha):
        rungs = {"max_t": asha.max_epochs, "grace_period": asha.min_epochs, "reduction_factor": asha.eta}
        work["asha"] = rungs
    (folder / "work.json").write_text(json.dumps(work))
    dataset = load_dataset(trials[0].data)
    np.savez(
        folder / "data.npz",
        inputs=dataset.train.inputs.flatten(1).numpy(),
        targets=dataset.train.targets.numpy(),
        validation_inputs=dataset.validation.inputs.flatten(1).numpy(),
        validation_targets=dataset.validation.targets.numpy(),
    )
    return len(trials)


def _seconds(arguments: list[str], folder: Path) -> float:
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


def _what_raydnn_did(storage: Path) -> dict[str, Any]:
    values = [value for value in raydnn.load(storage)["best_value"].to_pylist() if value is not None]
    return {"epochs_trained": raydnn.load(storage, "epochs").num_rows, "best_value": min(values)}
