"""What `train` and `sweep` say before they begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raydnn.errors import RaydnnError

JOB = """\
name: demo
data: {name: digits, scaling: DATA_SCALING}
activation: selu
optimizer: sgd
"""
SEARCH = """\
search:
  algorithm: grid
  space:
    activation: [selu, relu]
    init: [lecun_normal]
    regularization.input_dropout: [0.1, 0.2, 0.0]
"""


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise RaydnnError("it would begin here")

    monkeypatch.setattr("raydnn.launch.training.train_run", stop)
    monkeypatch.setattr("raydnn.launch.tuning.sweep_run", stop)
    monkeypatch.chdir(tmp_path)


def _warnings(cli: Any, command: str, text: str) -> list[str]:
    Path("job.yaml").write_text(text)
    outcome = cli(command, "job.yaml")
    assert "it would begin here" in outcome.err
    return [line for line in outcome.err.splitlines() if line.startswith("warning: ")]


def test_train_warns_of_selu_without_its_conditions(cli: Any) -> None:
    assert _warnings(cli, "train", JOB.replace("DATA_SCALING", "standardize")) == []
    assert _warnings(cli, "train", JOB.replace("DATA_SCALING", "unit") + "init: he_normal\n") == [
        "warning: data.scaling: unit, but SELU needs standardize",
        "warning: init: he_normal, but SELU needs lecun_normal",
    ]


def test_a_sweep_warns_once_a_field_and_tells_how_often(cli: Any) -> None:
    assert _warnings(cli, "sweep", JOB.replace("DATA_SCALING", "unit") + SEARCH) == [
        "warning: data.scaling: unit, but SELU needs standardize (3 of 6 trials)",
        "warning: regularization.input_dropout: 0.1, but SELU needs inputs of variance 1 (2 of 6 trials)",
    ]
