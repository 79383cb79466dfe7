"""Presets are defaults below the job's own fields, below its parents' and the command line's, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from raydnn.errors import JobError
from raydnn.spec.catalogue.schema import job_schema
from raydnn.spec.checks.selu import selu_warnings
from raydnn.spec.reading.load import LoadedJob, load_job
from raydnn.spec.reading.presets import PRESETS
from raydnn.spec.trial import trial_of_job

GOOD = "name: a\ndata: digits\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, *overrides: str, **files: str) -> LoadedJob:
    for name, content in {**files, "job": text}.items():
        Path(f"{name}.yaml").write_text(content)
    return load_job("job.yaml", overrides)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_a_valid_training(name: str) -> None:
    trial = trial_of_job(load(f"{GOOD}preset: {name}\n").job)
    assert trial.optimizer.name == "adam"
    assert selu_warnings(trial) == []
    Draft202012Validator(job_schema()).validate({"name": "a", "data": "digits", "preset": name})


def test_elu() -> None:
    job = load(f"{GOOD}preset: elu\n").job
    assert (job.activation.name, job.init.name, job.schedule.name) == ("elu", "he_normal", "performance")
    assert job.train.early_stopping is not None


def test_selu() -> None:
    job = load(f"{GOOD}preset: selu\n").job
    assert (job.activation.name, job.init.name, job.schedule.name) == ("selu", "lecun_normal", "performance")
    assert job.train.early_stopping is not None
    assert job.data.scaling.name == "standardize"
    assert job.regularization.alpha_dropout > 0


def test_batchnorm() -> None:
    job = load(f"{GOOD}preset: batchnorm\n").job
    assert job.model.model_dump()["widths"] == (200, 100)
    assert (job.normalization.name, job.activation.name) == ("batch_norm", "relu")
    assert job.regularization.dropout == 0.5


def test_the_jobs_own_fields_win() -> None:
    job = load(
        "name: a\npreset: selu\ndata: {name: digits, scaling: whiten}\noptimizer: {lr: 0.5}\n"
        "train: {early_stopping: null, epochs: 3}\nregularization: {l2: 0.1}\n"
    ).job
    assert (job.data.name, job.data.scaling.name) == ("digits", "whiten")
    assert (job.optimizer.name, job.optimizer.lr) == ("adam", 0.5)
    assert (job.train.early_stopping, job.train.epochs) == (None, 3)
    assert (job.regularization.l2, job.regularization.alpha_dropout) == (0.1, 0.1)
    assert load(f"{GOOD}preset: elu\noptimizer: sgd\n").job.optimizer.name == "sgd"


def test_a_parents_fields_win_and_the_nearest_preset_counts() -> None:
    base = f"{GOOD}preset: selu\nactivation: tanh\n"
    assert load("extends: base.yaml\n", base=base).job.init.name == "lecun_normal"
    job = load("extends: base.yaml\npreset: elu\n", base=base).job
    assert (job.activation.name, job.init.name) == ("tanh", "he_normal")
    with pytest.raises(JobError, match="optimizer: missing"):
        load("extends: base.yaml\npreset: null\n", base=base)


def test_the_command_line_wins() -> None:
    job = load(f"{GOOD}preset: selu\n", "activation.alpha=2.0", "optimizer.lr=0.1", "preset=elu").job
    assert job.activation.model_dump() == {"name": "elu", "alpha": 2.0}
    assert (job.optimizer.name, job.optimizer.lr) == ("adam", 0.1)


def test_its_fields_stand_where_it_is_written() -> None:
    assert load(f"{GOOD}preset: elu\n").positions.of("schedule") == "job.yaml:3"


@pytest.mark.parametrize("name", ["sel", "[elu]", "3"])
def test_an_unknown_preset_is_said_with_its_place(name: str) -> None:
    with pytest.raises(JobError) as error:
        load(f"{GOOD}optimizer: sgd\npreset: {name}\n")
    assert str(error.value).startswith("job.yaml:4: preset: unknown preset")
    assert "allowed: elu, selu, batchnorm" in str(error.value)
    assert "\n" not in str(error.value)
