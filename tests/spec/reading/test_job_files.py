"""The job files that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydnn.search.rungs import hyperband_brackets
from raydnn.space.space import build_space
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.reading.load import load_job, require_sweep, require_training
from raydnn.spec.scheduler import Asha, Bohb, Hyperband
from raydnn.spec.trial import trial_of_job

JOBS = Path(__file__).parents[3] / "jobs"
FILES = sorted(JOBS.glob("*.yaml"))


def test_the_files_are_there() -> None:
    expected = {"digits", "digits-asha", "fashion-mlp", "fashion-asha", "full-space"}
    schedulers = {"digits-hyperband", "digits-bohb", "digits-median"}
    comparisons = {"activations", "initialization", "optimizers", "schedules"}
    assert expected | schedulers | comparisons <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_valid_named_like_itself_and_says_how_to_run_it(path: Path) -> None:
    loaded = load_job(path)
    assert loaded.job.name == path.stem
    if loaded.job.search is None:
        require_training(loaded)
        command = f"#   raydnn train jobs/{path.name}\n"
    else:
        require_sweep(loaded)
        build_space(loaded.job, loaded.positions)
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


def test_each_scheduler_has_a_sweep_of_its_own() -> None:
    names = set()
    for path in FILES:
        search = load_job(path).job.search
        names.add(search.scheduler.name if search else "none")
    assert names == set(components("scheduler"))


def test_the_hyperband_sweep_is_one_band_and_the_bohb_sweep_two() -> None:
    for name, trials in (("hyperband", 49), ("bohb", 17 * 2)):
        search = load_job(JOBS / f"digits-{name}.yaml").job.search
        assert search is not None
        scheduler = search.scheduler
        assert isinstance(scheduler, Hyperband | Bohb)
        assert scheduler.max_epochs is not None
        brackets = hyperband_brackets(scheduler.max_epochs, scheduler.eta)
        assert trials % sum(bracket.trials for bracket in brackets) == 0
        assert search.trials == trials
