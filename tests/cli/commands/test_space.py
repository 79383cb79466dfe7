"""`raydnn space`: what it prints is what the sweep would search."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from raydnn.search.algorithms.registry import propose
from raydnn.space.space import build_space
from raydnn.spec.reading.load import load_job

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
    trials = propose(build_space(loaded.job, loaded.positions), loaded.job)
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


def test_a_sample_shows_what_auto_stands_for_in_each_trial(cli, job: Path) -> None:
    rows = json.loads(cli("space", str(job), "--sample", "4", "-o", "json").out)
    inits = {"relu": "he_normal", "tanh": "glorot_uniform"}
    assert all(row["init"] == inits[row["activation"]] for row in rows)
    assert {(row["loss"], row["output"]) for row in rows} == {("cross_entropy", "softmax")}


def test_a_sample_too_wide_for_a_table_is_a_block_a_trial(cli, job: Path) -> None:
    arguments = ("space", str(job), "--sample", "2", "search.space.optimizer=all")
    lines = cli(*arguments, "search.space.regularization=all").out.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == ["trial 0", "trial 1"]
    assert sum(line.startswith("  optimizer=") for line in lines) == 2
    assert max(map(len, lines)) < 160


def test_a_learning_algorithm_shows_what_it_tries_before_it_has_results(cli, job: Path) -> None:
    outcome = cli(
        "space", str(job), "search.algorithm={name: tpe, startup: 4}", "--sample", "9", "-o", "json"
    )
    assert len(json.loads(outcome.out)) < 9
    assert outcome.err == "what tpe tries next depends on the results of these\n"


def test_the_resolved_job_tells_what_auto_stands_for(cli, tmp_path: Path, job: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("name: demo\ndata: digits\noptimizer: sgd\nactivation: tanh\n")
    told = json.loads(cli("space", str(path), "--resolved", "-o", "json").out)
    assert {axis: told[axis]["name"] for axis in ("init", "loss", "output")} == {
        "init": "glorot_uniform",
        "loss": "cross_entropy",
        "output": "softmax",
    }
    assert "init.name" in cli("space", str(path), "--resolved").out
    asha = "search.scheduler={name: asha, max_epochs: 27}"
    assert json.loads(cli("space", str(job), asha, "--resolved", "-o", "json").out)["train"]["epochs"] == 27
    assert cli("space", str(job), "--resolved", "--sample", "1").code == 2


def test_a_bad_space_is_exit_2_with_the_line(cli, job: Path) -> None:
    job.write_text(JOB.replace("uniform(0.5, 0.9)", "uniform(0.9, 0.5)"))
    outcome = cli("space", str(job))
    assert outcome.code == 2
    assert f"{job}:8" in outcome.err
    assert outcome.out == ""
