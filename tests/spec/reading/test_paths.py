"""Paths of a job: relative to the file they are written in, or to the shell's folder, and absolute once it is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from string import ascii_letters
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydnn.errors import DataError, JobError, Problem
from raydnn.spec.axes.loss import Function
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.catalogue.fields import path_of
from raydnn.spec.catalogue.kinds import KINDS, components
from raydnn.spec.data import Csv
from raydnn.spec.job import Job
from raydnn.spec.reading.load import LoadedJob, job_over, load_job
from raydnn.spec.reading.placing import placed
from raydnn.spec.reading.positions import Positions

BASE = "name: a\noptimizer: sgd\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's folder is not the job's."""
    for folder in ("shell", "jobs/deep"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "shell")


def load(text: str, *overrides: str, **files: str) -> LoadedJob:
    for name, content in {"jobs/job": text, **files}.items():
        Path(f"../{name}.yaml").write_text(content)
    return load_job("../jobs/job.yaml", overrides)


def csv(loaded: LoadedJob) -> Csv:
    assert isinstance(loaded.job.data, Csv)
    return loaded.job.data


CSV = BASE + "data: {path: a.csv, name: csv, target: y, test_path: ../test.csv}\n"


def test_a_path_in_a_file_is_relative_to_that_file(tmp_path: Path) -> None:
    data = csv(load(CSV))
    assert (data.path, data.test_path) == (str(tmp_path / "jobs/a.csv"), str(tmp_path / "test.csv"))


def test_a_path_on_the_command_line_is_relative_to_the_shell(tmp_path: Path) -> None:
    data = csv(load(CSV, "data.path=b.csv", "data.target=x"))
    assert (data.path, data.test_path) == (str(tmp_path / "shell/b.csv"), str(tmp_path / "test.csv"))
    whole = csv(load(CSV, "data={name: csv, path: c.csv, target: y}"))
    assert whole.path == str(tmp_path / "shell/c.csv")


def test_a_path_of_a_file_that_is_extended_is_relative_to_that_one(tmp_path: Path) -> None:
    child = "extends: deep/base.yaml\ndata: {test_path: t.csv}\n"
    data = csv(load(child, **{"jobs/deep/base": CSV}))
    assert (data.path, data.test_path) == (str(tmp_path / "jobs/deep/a.csv"), str(tmp_path / "jobs/t.csv"))


def test_home_is_expanded_and_addresses_and_absolute_paths_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given_path, found in {
        "~/a.csv": str(tmp_path / "home/a.csv"),
        "s3://bucket//folder/../a.csv": "s3://bucket//folder/../a.csv",
        "https://host/a.csv": "https://host/a.csv",
        "/data/../a.csv": "/data/../a.csv",
    }.items():
        loaded = load(CSV, f"data.path='{given_path}'")
        assert csv(loaded).path == found
        assert ("data.path" in loaded.moved) == (given_path[0] == "~")
        assert csv(load(CSV.replace("a.csv", given_path))).path == found


def test_storage_is_in_the_shells_folder_wherever_it_is_written(tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    assert load(CSV).job.storage == str(shell / "results")
    assert load(CSV + "storage: runs\n").job.storage == str(shell / "runs")
    assert load(CSV, "storage=../x").job.storage == str(tmp_path / "x")
    assert load(CSV + "storage: gs://bucket/runs\n").job.storage == "gs://bucket/runs"


def test_code_is_looked_for_beside_the_file_that_names_it(tmp_path: Path) -> None:
    text = CSV + "model: {name: module, path: 'nets.small:Net'}\nloss: {name: function, path: 'my:loss'}\n"
    job = load(text, "loss.path=own:loss").job
    assert isinstance(job.model, UserModule)
    assert isinstance(job.loss, Function)
    assert job.model.path == f"{tmp_path}/jobs/nets.small:Net"
    assert job.loss.path == f"{tmp_path}/shell/own:loss"


SEARCH = "search: {trials: 2, start: ['best:../old/run:3', 'best:run:1'], space: {%s}}\n"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("data.path: [a.csv, b.csv]", ["JOBS/a.csv", "JOBS/b.csv"]),
        ("data.csv.path: [a.csv, 's3://b/c.csv']", ["JOBS/a.csv", "s3://b/c.csv"]),
        ("data.path: a.csv", "JOBS/a.csv"),
        ("data.path: 'choice(a.csv, \"b c.csv\")'", 'choice("JOBS/a.csv", "JOBS/b c.csv")'),
        ("data.test_path: 'grid(a.csv, null)'", 'grid("JOBS/a.csv", null)'),
        ("loss.function.path: ['m:f', 'n:g']", ["JOBS/m:f", "JOBS/n:g"]),
        ("data.path: 'choice(a.csv'", "choice(a.csv"),
        ("optimizer.lr: [0.1, 0.2]", [0.1, 0.2]),
    ],
)
def test_choices_of_a_path_are_paths(domain: str, expected: Any, tmp_path: Path) -> None:
    search = load(CSV + SEARCH % domain).job.search
    assert search is not None
    (found,) = search.space.values()
    assert json.dumps(found).replace(f"{tmp_path}/jobs", "JOBS") == json.dumps(expected)
    assert search.start == (f"best:{tmp_path}/old/run:3", "best:run:1")


def test_what_was_relative_is_known() -> None:
    loaded = load(CSV + SEARCH % "data.path: [a.csv]")
    given_by_field = {field: (each.what, each.given) for field, each in loaded.moved.items()}
    assert given_by_field == {
        "data.path": ("data", "a.csv"),
        "data.test_path": ("data", "../test.csv"),
        "storage": ("results", "results"),
        "search.start": ("run", ["best:../old/run:3", "best:run:1"]),
        "search.space.data.path": ("data", ["a.csv"]),
    }


def test_a_job_that_was_read_is_the_same_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = load(CSV + SEARCH % "data.path: [a.csv]").job
    monkeypatch.chdir("/")
    again = Job.model_validate(json.loads(job.model_dump_json()))
    assert job_over(again, [], "run r").job == job
    assert load_job(tmp_path / "jobs/job.yaml", [f"storage={tmp_path}/shell/results"]).job == job


names = st.text(ascii_letters + "é .-_=ß", min_size=1, max_size=12).filter(lambda name: name.strip(". "))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(parts=st.lists(st.one_of(st.just(".."), names), min_size=1, max_size=4))
def test_any_path_leads_where_the_files_folder_would_lead(tmp_path: Path, parts: list[str]) -> None:
    path = "./" + "/".join(parts)
    found = csv(load(BASE + f"data: {{name: csv, target: y, path: {json.dumps(path)}}}\n")).path
    assert found == os.path.normpath(f"{tmp_path}/jobs/{path}")


def test_every_field_called_a_path_is_declared_one() -> None:
    for kind in KINDS:
        for cls in components(kind).values():
            for name, field in cls.model_fields.items():
                if name.endswith("path"):
                    assert path_of(field) is not None, f"{kind}.{name}"


def test_problems_without_a_place_get_their_fields() -> None:
    positions = load(CSV).positions
    with pytest.raises(JobError) as raised, placed(positions):
        raise JobError([Problem("", "data.target", "no such column"), Problem("x:1", "seed", "stays")])
    assert str(raised.value) == "../jobs/job.yaml:3: data.target: no such column\nx:1: seed: stays"
    with (
        pytest.raises(JobError, match=r"^RUN/resolved.json: data.target: "),
        placed(Positions({"": "RUN/resolved.json"})),
    ):
        raise JobError([Problem("", "data.target", "no such column")])


def test_a_missing_file_names_line_and_field_and_how_to_mean_the_shells_folder(tmp_path: Path) -> None:
    loaded = load(CSV)
    path = csv(loaded).path

    def missing() -> str:
        with pytest.raises(DataError) as raised, placed(loaded.positions):
            raise DataError(f"{path}: there is no such file", field="data.path", path=path)
        return str(raised.value)

    told = f"../jobs/job.yaml:3: data.path: {path}: there is no such file"
    assert missing() == told
    Path("a.csv").touch()
    assert missing() == f"{told}; a path in a job file is relative to that file: write ../shell/a.csv"
    with pytest.raises(DataError, match=r"^row 3$"), placed(loaded.positions):
        raise DataError("row 3")
