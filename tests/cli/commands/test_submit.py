"""What `raydnn submit` refuses before anything is sent; submitting itself is in tests/launch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

JOB = "name: digits\ndata: digits\noptimizer: {name: sgd, lr: 0.1}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "job.yaml").write_text(JOB)
    monkeypatch.chdir(work)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["job.yaml"], 2, "no cluster address; give --address http://HEAD:8265"),
        (["job.yaml", "--address", "auto"], 2, "address 'auto' is not a dashboard's"),
        (["job.yaml", "--address", "http://127.0.0.1:9"], 4, "http://127.0.0.1:9 does not answer"),
        (["job.yaml", "optimizer.lr=-1", "--address", "http://127.0.0.1:9"], 2, "optimizer.lr"),
        (["none.yaml", "--address", "http://127.0.0.1:9"], 2, "none.yaml"),
    ],
)
def test_refuses_with_one_line_and_leaves_nothing(
    cli: Cli, here: Path, arguments: list[str], code: int, message: str
) -> None:
    outcome = cli("submit", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert sorted(os.listdir(here)) == ["work"]
    assert os.listdir(here / "work") == ["job.yaml"]


def test_a_space_that_cannot_be_is_refused_here(cli: Cli, here: Path) -> None:
    search = "search: {trials: 4, space: {optimizer.sgd.lr: 'loguniform(0, 1)'}}\n"
    (here / "work/job.yaml").write_text(JOB + search)
    outcome = cli("submit", "job.yaml", "--address", "http://127.0.0.1:9")
    assert outcome.code == 2
    assert "search.space.optimizer.sgd.lr" in outcome.err


def test_the_address_of_the_environment_is_used(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")
    assert cli("submit", "job.yaml").code == 4


def test_help_ends_with_an_example(cli: Cli) -> None:
    for command in ("submit", "status", "logs", "stop"):
        shown = cli(command, "--help").out
        assert "Example:\n" in shown
        assert f"raydnn {command} " in shown.split("Example:")[1]
