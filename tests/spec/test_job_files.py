"""The job files that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydnn.space.space import build_space
from raydnn.spec.load import load_job, require_sweep, require_training
from raydnn.spec.search import Asha
from raydnn.spec.trial import trial_of_job

JOBS = Path(__file__).parents[2] / "jobs"
FILES = sorted(JOBS.glob("*.yaml"))


def test_the_files_are_there() -> None:
    expected = {"digits", "digits-asha", "fashion-mlp", "fashion-asha", "full-space"}
    comparisons = {"activations", "initialization", "optimizers", "schedules"}
    assert expected | comparisons <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_valid_named_like_itself_and_says_how_to_run_it(path: Path) -> None:
    loaded = load_job(path)
    assert loaded.job.name == path.stem
    if loaded.job.search is None:
        require_training(loaded)
        command = f"#   raydnn train jobs/{path.name}\n"
    else:
        require_sweep(loaded)
        build_space(loaded.job, loaded.places)
        command = f"#   raydnn sweep jobs/{path.name}\n"
    assert loaded.text.startswith("# ")
    assert command in loaded.text


def test_the_reference_is_the_published_configuration() -> None:
    trial = trial_of_job(load_job(JOBS / "fashion-mlp.yaml").job)
    assert {
        "data.name": "fashion_mnist",
        "data.validation": 5000,
        "data.scaling.name": "unit",
        "model.name": "mlp",
        "model.widths": (300, 100),
        "activation.name": "relu",
        "init.name": "glorot_uniform",
        "normalization.name": "none",
        "regularization.dropout": 0.0,
        "loss.name": "cross_entropy",
        "optimizer.name": "sgd",
        "optimizer.lr": 0.01,
        "optimizer.momentum": 0.0,
        "optimizer.weight_decay": 0.0,
        "schedule.name": "constant",
        "schedule.warmup_epochs": 0.0,
        "train.epochs": 10,
        "train.batch_size": 32,
        "train.clip.name": "none",
    }.items() <= trial.parameters().items()


def test_the_demo_sweep_has_64_trials_under_asha() -> None:
    search = load_job(JOBS / "digits-asha.yaml").job.search
    assert search is not None
    assert search.trials == 64
    assert search.scheduler == Asha(min_epochs=1, max_epochs=27, eta=3)
    assert search.algorithm.name == "random"
    assert {"optimizer", "schedule", "activation", "init", "regularization.dropout"} <= set(search.space)
    assert search.space["train.batch_size"] == "choice(32, 64)"
