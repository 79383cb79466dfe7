"""What the data call columns and classes, where a user looks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from raydnn.cli.main import raydnn
from raydnn.cli.printing.summaries import MOST_NAMES
from raydnn.launch.runs.runs import begin
from raydnn.search.packing import StackPlan
from raydnn.spec.job import Job
from raydnn.spec.trial import trial_of_job
from raydnn.store.run import Run


def run_with(folder: Path, names: Mapping[str, list[Any]]) -> Run:
    job = Job.model_validate(
        {"name": "x", "data": {"name": "digits"}, "optimizer": {"name": "sgd"}, "storage": str(folder)}
    )
    return begin(job, "name: x", "r", "train", [StackPlan(0, ((0, trial_of_job(job)),))], facts=names)


def shown(run: Run, *arguments: str) -> str:
    result = CliRunner().invoke(raydnn, ["results", "show", str(run.local_path("")), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_class_and_column_names_are_shown_with_their_numbers(tmp_path: Path) -> None:
    run = run_with(tmp_path, {"classes": ["setosa", "versicolor"], "columns": ["length", "width"]})
    for arguments in ((), ("t00000",)):
        lines = [line.split() for line in shown(run, *arguments).splitlines()]
        assert ["1", "versicolor"] in lines
        assert ["columns", "length,", "width"] in lines
        told = json.loads(shown(run, *arguments, "-o", "json"))
        assert told["columns"] == ["length", "width"]
        assert told["classes"] == [{"number": 0, "name": "setosa"}, {"number": 1, "name": "versicolor"}]


def test_many_names_are_cut_for_people_alone(tmp_path: Path) -> None:
    names = [f"name{n}" for n in range(MOST_NAMES + 7)]
    run = run_with(tmp_path, {"classes": names, "columns": names})
    text = shown(run)
    assert text.count("and 7 more") == 2
    assert f"name{MOST_NAMES}" not in text
    assert len(json.loads(shown(run, "t00000", "-o", "json"))["classes"]) == MOST_NAMES + 7
