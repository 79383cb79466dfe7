"""What a run was begun with: where data, code or versions change, a resume says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from raydnn.launch.runs import fingerprints as module
from raydnn.launch.runs.fingerprints import changes, fingerprints, versions
from raydnn.spec.job import Job
from raydnn.store.run import Run, create_run

TRAINING: dict[str, Any] = {
    "name": "x",
    "data": {"name": "npz", "path": "d.npz", "validation_fraction": 0.2},
    "loss": {"name": "function", "path": "mycode:loss"},
    "optimizer": {"name": "sgd", "lr": 0.1},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("d.npz").write_bytes(b"numbers" * 1000)
    Path("mycode.py").write_text("import numpy\nfrom helpers.deep import scale\n")
    Path("helpers").mkdir()
    Path("helpers/__init__.py").write_text("")
    Path("helpers/deep.py").write_text("scale = 2")
    return tmp_path


def begun(job: dict[str, Any] = TRAINING, **resolved: Any) -> Run:
    facts = {"metric": "validation_loss", "mode": "min", "command": "train", "versions": versions()}
    marks = fingerprints(Job.model_validate(job))
    return create_run("results", "r", "", {**facts, "fingerprints": marks, **resolved})


def test_nothing_changed_and_nothing_is_said() -> None:
    run = begun()
    names = {
        kind: sorted(os.path.relpath(path) for path in of)
        for kind, of in run.resolved()["fingerprints"].items()
    }
    assert names == {"data": ["d.npz"], "code": ["helpers/__init__.py", "helpers/deep.py", "mycode.py"]}
    os.utime("d.npz", (1, 1))
    assert changes(run) == []


@pytest.mark.parametrize(
    ("file", "word"), [("d.npz", "data file"), ("mycode.py", "code"), ("helpers/deep.py", "code")]
)
def test_a_file_that_changed_is_named(file: str, word: str) -> None:
    run = begun()
    content = Path(file).read_bytes()
    Path(file).write_bytes(content[:-1] + b"#")
    (told,) = changes(run)
    assert file in told
    assert word in told


def test_versions_that_changed_are_named_and_runs_without_any_are_borne() -> None:
    run = begun(versions={**versions(), "torch": "1.0"})
    (told,) = changes(run)
    assert "torch 1.0, now " in told
    assert changes(create_run("results", "old", "", {"metric": "train_loss", "mode": "min"})) == []


def test_large_files_are_sampled_from_the_first_block_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_BYTES", 100)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 10)
    run = begun()
    content = Path("d.npz").read_bytes()
    for place in (0, len(content) - 1):
        Path("d.npz").write_bytes(content[:place] + b"#" + content[place + 1 :])
        assert len(changes(run)) == 1
    Path("d.npz").write_bytes(content)
    assert changes(run) == []


def test_a_module_after_its_folder_and_one_that_is_installed(tmp_path: Path) -> None:
    Path("my code").mkdir()
    Path("mycode.py").rename("my code/mycode.py")
    loss = {"name": "function", "path": f"{tmp_path}/my code/mycode:loss"}
    marks = fingerprints(Job.model_validate({**TRAINING, "loss": loss}))
    assert [os.path.relpath(path) for path in marks["code"]] == ["my code/mycode.py"]
    installed = {"name": "function", "path": "torch.nn.functional:mse_loss"}
    marks = fingerprints(Job.model_validate({**TRAINING, "loss": installed}))
    assert [Path(path).name for path in marks["code"]] == ["__init__.py"]


def test_searched_modules_folders_and_addresses() -> None:
    Path("mnist").mkdir()
    Path("mnist/images").write_bytes(b"x")
    job = {
        **TRAINING,
        "data": {"name": "mnist", "path": "mnist", "validation_fraction": 0.2},
        "loss": "auto",
        "search": {"trials": 2, "space": {"loss.function.path": "choice(mycode:loss, mycode:other)"}},
    }
    marks = fingerprints(Job.model_validate(job))
    assert [os.path.relpath(path) for path in marks["data"]] == ["mnist/images"]
    assert "mycode.py" in [os.path.relpath(path) for path in marks["code"]]
    away = {**TRAINING, "data": {**TRAINING["data"], "path": "s3://bucket/d.npz"}}
    assert fingerprints(Job.model_validate(away))["data"] == {}
