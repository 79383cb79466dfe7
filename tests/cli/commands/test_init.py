"""The starter files: valid by the schema beside them, loadable, and never written over others."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from raydnn.space.space import build_space
from raydnn.spec.reading.load import load_job, require_sweep, require_training


def test_the_starter_files_are_valid(cli, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "project"
    outcome = cli("init", str(folder))
    assert outcome.code == 0
    assert outcome.out == ""
    assert "raydnn sweep sweep.yaml" in outcome.err
    assert {path.name for path in folder.iterdir()} == {"job.yaml", "sweep.yaml", "raydnn.schema.json"}
    require_training(load_job(folder / "job.yaml"))
    sweep = load_job(folder / "sweep.yaml")
    require_sweep(sweep)
    assert build_space(sweep.job, sweep.positions).parameters
    schema = json.loads((folder / "raydnn.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("job.yaml", "sweep.yaml"):
        validator.validate(YAML(typ="safe").load(folder / name))


def test_the_schema_is_the_one_that_schema_prints(cli, tmp_path: Path) -> None:
    cli("init", str(tmp_path / "new"))
    printed = cli("schema")
    assert printed.code == 0
    assert json.loads(printed.out) == json.loads((tmp_path / "new" / "raydnn.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(json.loads(printed.out))


@pytest.mark.parametrize("name", ["job.yaml", "sweep.yaml", "raydnn.schema.json"])
def test_nothing_is_overwritten(cli, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    outcome = cli("init", str(tmp_path))
    assert outcome.code == 2
    assert name in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_without_dir_the_current_folder_is_used(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("init")
    assert outcome.code == 0
    assert "cd " not in outcome.err
    assert (tmp_path / "job.yaml").is_file()


def test_what_it_tells_to_paste_works_in_a_folder_with_a_space(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = cli("init", "my project").err.splitlines()
    commands = [line[6:] for line in told if " && " in line]
    words = [shlex.split(line) for line in commands]
    assert [each[:3] for each in words] == [["cd", str(tmp_path / "my project"), "&&"]] * 2
    assert [each[3:] for each in words] == [
        ["raydnn", "train", "job.yaml"],
        ["raydnn", "sweep", "sweep.yaml"],
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_exit_5(cli, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert cli("init", str(tmp_path / "new")).code == 5


def test_a_file_in_the_way_is_exit_5(cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = cli("init", str(tmp_path / "file" / "new"))
    assert outcome.code == 5
    assert outcome.err.count("\n") == 1
