"""What a peer's process is given: a folder with the configurations that raydnn proposes, and their data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raydnn.data.load import load_dataset
from raydnn.search.algorithms.registry import propose
from raydnn.space.space import build_space
from raydnn.spec.reading.load import load_job
from raydnn.spec.search import Asha
from raydnn.spec.trial import TrialSpec


def write_work(job: Path, overrides: Sequence[str], folder: Path) -> list[TrialSpec]:
    """Write work.json and data.npz, which `torch_trial.Work` reads, for the trials of a sweep.

    Args:
        job: A job file with a search.
        overrides: Overrides of its fields.
        folder: Where to write.

    Returns:
        The trials.
    """
    loaded = load_job(job, list(overrides))
    search = loaded.job.search
    assert search is not None
    trials = propose(build_space(loaded.job, loaded.positions), loaded.job)
    asha = None
    if isinstance(search.scheduler, Asha):
        asha = {
            "max_t": search.scheduler.max_epochs or trials[0].train.epochs,
            "grace_period": search.scheduler.min_epochs,
            "reduction_factor": search.scheduler.eta,
        }
    configurations = [json.loads(trial.config_json) for trial in trials]
    work = {"trials": configurations, "metric": search.metric, "mode": search.direction, "asha": asha}
    (folder / "work.json").write_text(json.dumps(work))
    dataset = load_dataset(trials[0].data)
    inputs = {
        "inputs": dataset.train.inputs.numpy(),
        "validation_inputs": dataset.validation.inputs.numpy(),
    }
    if trials[0].model.name == "mlp":
        inputs = {name: array.reshape(len(array), -1) for name, array in inputs.items()}
    np.savez(
        folder / "data.npz",
        **inputs,
        targets=dataset.train.targets.numpy(),
        validation_targets=dataset.validation.targets.numpy(),
    )
    return trials
