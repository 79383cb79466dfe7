"""Secrets: given to those who use them, and nowhere else to be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raydnn import secrets
from raydnn.data.load import load_dataset
from raydnn.errors import DataError, JobError, RaydnnError
from raydnn.search.packing import StackPlan
from raydnn.spec.data import Csv
from raydnn.spec.job import Training
from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import TrialSpec
from raydnn.store.run import create_run
from raydnn.training.session import run_stack
from raydnn.training.workers import Workers

SECRET = "hunter2-s3cr3t"
NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, outputs, token, **more):
        super().__init__()
        if token != {token!r}:
            raise ValueError("another token: " + token)
        self.token = token
        self.body = nn.Linear(inputs, outputs)

    def forward(self, x):
        if len(x) == 30:
            raise RuntimeError(f"GET /?token={{self.token}} gave 403")
        return self.body(x)
"""


@pytest.fixture(autouse=True)
def _none_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_given_out", {})


def test_what_a_variable_and_a_file_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKEN", f"{SECRET}\n")
    (tmp_path / "token").write_bytes(b"of a file\r\n\r\n")
    given = {"a": "env:TOKEN", "b": [f"file:{tmp_path}/token", 3, "environment"], "c": "file:///data/x.csv"}
    found = {"a": SECRET, "b": ["of a file\r\n", 3, "environment"], "c": "file:///data/x.csv"}
    assert secrets.revealed(given, "model.arguments") == found
    assert secrets.hidden(f"at {SECRET}, {SECRET}!") == "at env:TOKEN, env:TOKEN!"


def test_they_stay_as_written_when_a_job_is_read(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "name: x\ndata: {name: csv, path: env:TABLE, test_path: 'file:table.txt', target: y}\noptimizer: sgd\n"
    )
    data = load_job(tmp_path / "job.yaml", ()).job.data
    assert isinstance(data, Csv)
    assert (data.path, data.test_path) == ("env:TABLE", f"file:{tmp_path}/table.txt")


def test_a_short_value_hides_nothing_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "1")
    assert secrets.revealed("env:ONE", "data.path") == "1"
    assert secrets.hidden("1 of 10") == "1 of 10"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "env:NOT_THERE",
            r"^model\.arguments\.key: env:NOT_THERE is given; there is no environment variable NOT_THERE",
        ),
        (
            "file:/not/there",
            r"^model\.arguments\.key: file:/not/there cannot be read .*: No such file or directory$",
        ),
    ],
)
def test_a_secret_that_is_not_there_is_named(value: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        secrets.revealed({"key": value}, "model.arguments")


def test_data_and_their_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / SECRET
    folder.mkdir()
    (folder / "t.csv").write_text("a,b,y\n" + "".join(f"{k},{k * k % 7},{k % 2}\n" for k in range(40)))
    monkeypatch.setenv("TABLE", str(folder / "t.csv"))
    spec = Csv(path="env:TABLE", target="y")
    assert len(load_dataset(spec).train) == 32
    with pytest.raises(RaydnnError) as raised:
        load_dataset(spec.model_copy(update={"target": "z"}))
    assert SECRET not in str(raised.value)
    assert "env:TABLE" in str(raised.value)
    monkeypatch.setenv("TABLE", str(folder / "gone.csv"))
    with pytest.raises(DataError) as gone:
        load_dataset(spec)
    assert SECRET not in str(gone.value)


@pytest.mark.parametrize("fails", ["no", "in training", "when it is made"])
def test_no_file_of_a_run_holds_a_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: str, request: pytest.FixtureRequest
) -> None:
    name = f"secretive_{abs(hash(request.node.nodeid)):x}"
    (tmp_path / f"{name}.py").write_text(NET.format(token="other" if fails == "when it is made" else SECRET))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TOKEN", SECRET)
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "d.npz", inputs=rng.normal(size=(90, 4)).astype("f4"), targets=rng.integers(2, size=90)
    )
    fields: dict[str, Any] = {
        "data": {"name": "npz", "path": str(tmp_path / "d.npz"), "validation": 30},
        "model": {"name": "module", "path": f"{name}:Net", "arguments": {"token": "env:TOKEN"}},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "train": {"epochs": 1, "batch_size": 30 if fails == "in training" else 20},
    }
    if fails == "no":
        fields["data"]["validation"] = 29
    trial = TrialSpec.from_training(Training.model_validate(fields))
    run = create_run(
        str(tmp_path / "results"),
        "one",
        "",
        {"metric": "validation_loss", "mode": "min", "command": "train", "job": {}},
    )
    said = ""
    train: Callable[[], Any] = lambda: run_stack(  # noqa: E731
        run,
        StackPlan(0, ((0, trial),)),
        scheduler="none",
        judge=lambda *_: {},
        workers=Workers(),
        device=torch.device("cpu"),
    )
    if fails == "no":
        train()
    else:
        with pytest.raises(RaydnnError) as raised:
            train()
        said = str(raised.value)
        assert "env:TOKEN" in said
    assert SECRET not in said
    files = [path for path in run.local_path().rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
