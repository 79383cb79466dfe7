"""`raydnn space`: what it prints is what the sweep would search."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from raydnn.search.algorithms import propose
from raydnn.space.space import build_space
from raydnn.spec.load import load_job

JOB = """\
name: demo
data: digits
optimizer: sgd
search:
  trials: 3
  space:
    optimizer: [sgd, adamw]
    optimizer.sgd.momentum: uniform(0.5, 0.9)
    activation: [relu, tanh]
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


def test_the_tree_shows_domains_and_conditions(cli, job: Path) -> None:
    outcome = cli("space", str(job))
    assert outcome.code == 0
    assert all(
        part in outcome.out for part in ("optimizer", "adamw", "momentum", "uniform(0.5, 0.9)", "unlimited")
    )


def test_a_finite_space_is_counted(cli, job: Path) -> None:
    assert "configurations: 4" in cli("space", str(job), "search.space.optimizer.sgd.momentum=[0.9]").out


@pytest.mark.parametrize("output", ["json", "csv"])
def test_the_parameters_for_programs(cli, job: Path, output: str) -> None:
    text = cli("space", str(job), "-o", output).out
    rows = json.loads(text) if output == "json" else list(csv.DictReader(io.StringIO(text)))
    momentum = next(row for row in rows if row["parameter"] == "optimizer.sgd.momentum")
    assert momentum["domain"] == "uniform(0.5, 0.9)"
    assert "sgd" in momentum["when"]
    assert {row["parameter"] for row in rows if not row["when"]} == {"optimizer", "activation"}


def test_a_sample_is_the_first_trials_of_the_sweep(cli, job: Path) -> None:
    rows = json.loads(cli("space", str(job), "--sample", "5", "-o", "json").out)
    loaded = load_job(job)
    trials = propose(build_space(loaded.job, loaded.places), loaded.job)
    assert len(rows) == 5
    for row, trial in zip(rows, trials, strict=False):
        assert row["optimizer"] == trial.optimizer.name
        assert row["activation"] == trial.activation.name
        assert row["optimizer.momentum"] == trial.parameters().get("optimizer.momentum")


def test_a_job_without_search_names_the_way_out(cli, tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("name: demo\ndata: digits\noptimizer: sgd\n")
    outcome = cli("space", str(path))
    assert outcome.code == 2
    assert outcome.err.startswith(str(path))
    assert "search" in outcome.err


def test_a_bad_space_is_exit_2_with_the_line(cli, job: Path) -> None:
    job.write_text(JOB.replace("uniform(0.5, 0.9)", "uniform(0.9, 0.5)"))
    outcome = cli("space", str(job))
    assert outcome.code == 2
    assert f"{job}:8" in outcome.err
    assert outcome.out == ""
