"""The job file of a trial trains the very configuration again."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydnn.analysis.job_of_trial import job_of_trial, written_job
from raydnn.errors import NotFoundError
from raydnn.search.algorithms.registry import propose
from raydnn.space.space import build_space
from raydnn.spec.job import Training
from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.store.commit import commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import create_run

JOBS = Path(__file__).parents[2] / "jobs"
MODELS = ["cnn", {"name": "resnet", "depth": 8}, "lstm", {"name": "transformer", "heads": 2}, "autoencoder"]


def _read(text: str, folder: Path) -> TrialSpec:
    path = folder / "job.yaml"
    path.write_text(text)
    return trial_of_job(load_job(path).job)


def test_every_draw_of_the_full_space_comes_back(tmp_path: Path) -> None:
    loaded = load_job(JOBS / "full-space.yaml", ["search.trials=60"])
    sweep = loaded.job.as_sweep()
    assert sweep is not None
    for trial in propose(build_space(loaded.job, loaded.positions), sweep):
        assert _read(written_job(trial, "again"), tmp_path) == trial


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("normalization", ["none", "batch_norm"])
def test_what_a_model_would_choose_itself_is_said(tmp_path: Path, model: object, normalization: str) -> None:
    given = {"data": "digits", "model": model, "normalization": normalization, "optimizer": "adam"}
    trial = TrialSpec.from_training(Training.model_validate(given))
    assert _read(written_job(trial, "again"), tmp_path) == trial


def test_the_best_is_chosen_unless_another_is_named(tmp_path: Path) -> None:
    run = create_run(str(tmp_path / "results"), "r", "", {"metric": "validation_loss", "mode": "min"})
    rates, values = (0.1, 1e-05, 0.3), (0.5, 0.25, 1.0)
    trials = [
        TrialSpec.from_training(
            Training.model_validate({"data": "digits", "optimizer": {"name": "sgd", "lr": lr}})
        )
        for lr in rates
    ]
    with pytest.raises(NotFoundError, match="no trial of r has come to an end"):
        job_of_trial(run)
    rows = [
        trial_row(run, f"t{n:05d}", n, trial, state="COMPLETED", best_value=value)
        for n, (trial, value) in enumerate(zip(trials, values, strict=True))
    ]
    commit_trials(run, 0, 1, rows)
    assert _read(job_of_trial(run), tmp_path) == trials[1]
    assert "lr: 1e-05" in job_of_trial(run)
    assert _read(job_of_trial(run, "t00002"), tmp_path) == trials[2]
    with pytest.raises(NotFoundError, match="t00009"):
        job_of_trial(run, "t00009")
