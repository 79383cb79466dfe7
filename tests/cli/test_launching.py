"""What `train` and `sweep` say before they begin."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raydnn.errors import RaydnnError
from raydnn.launch.hints import trial_warnings
from raydnn.spec.job import Job
from raydnn.spec.trial import trial_of_job

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

    monkeypatch.setattr("raydnn.launch.engine.on_ray.engines.Embedded.train", stop)
    monkeypatch.setattr("raydnn.launch.tuning.sweep.sweep_run", stop)
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


CSV = "name: demo\ndata: {name: csv, path: a.csv, target: y}\noptimizer: sgd\n"
GRID = "search: {algorithm: grid, space: {optimizer.lr: [0.1, 0.2]}}\n"


@pytest.mark.parametrize(
    ("command", "search"), [("train", ""), ("sweep", GRID), ("plan", ""), ("plan", GRID)]
)
def test_what_the_data_show_to_be_wrong_has_its_line_and_nothing_is_written(
    cli: Any, command: str, search: str
) -> None:
    Path("jobs").mkdir()
    Path("jobs/job.yaml").write_text(CSV.replace("target: y", "target: z") + search)
    Path("jobs/a.csv").write_text("x,y\n" + "1,0\n2,1\n" * 10)
    outcome = cli(command, "jobs/job.yaml")
    assert outcome.code == 2
    assert "jobs/job.yaml:2: data.target: 'z' is given; " in outcome.err
    Path("jobs/a.csv").rename("a.csv")
    outcome = cli(command, "jobs/job.yaml")
    assert outcome.code == 5
    assert f"jobs/job.yaml:2: data.path: {Path.cwd()}/jobs/a.csv: there is no such file" in outcome.err
    assert "write ../a.csv" in outcome.err
    assert sorted(path.name for path in Path().iterdir()) == ["a.csv", "jobs"]


MINE = """\
def fine(outputs, targets):
    return outputs.square().sum(1)
def mean(outputs, targets):
    return outputs.mean()
def fails(outputs, targets):
    raise IndexError("of mine")
"""


@pytest.fixture
def with_loss(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a job with one of these losses."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine_of_launching", raising=False)

    def write(name: str, search: str) -> None:
        Path("mine_of_launching.py").write_text(MINE)
        loss = f"loss: {{name: function, path: 'mine_of_launching:{name}'}}\n"
        Path("job.yaml").write_text(JOB.replace("DATA_SCALING", "none") + loss + search)

    return write


@pytest.mark.parametrize(("command", "search"), [("train", ""), ("sweep", GRID)])
def test_a_loss_that_is_not_there_has_its_line_and_nothing_is_written(
    cli: Any, command: str, search: str, with_loss: Callable[[str, str], None]
) -> None:
    with_loss("absent", search)
    outcome = cli(command, "job.yaml")
    told = "job.yaml:5: loss.path: 'mine_of_launching' has no function 'absent'; it has fine, mean, fails."
    assert (outcome.code, outcome.err.splitlines()[-1][: len(told)]) == (2, told)
    assert not Path("results").exists()


@pytest.mark.parametrize("name", ["mean", "fails"])
def test_what_a_loss_does_when_it_is_called_is_the_runs_affair(
    cli: Any, name: str, with_loss: Callable[[str, str], None]
) -> None:
    with_loss(name, "")
    outcome = cli("train", "job.yaml")
    assert (outcome.code, outcome.err.splitlines()[-1]) == (1, "it would begin here")


@pytest.mark.parametrize(("command", "search"), [("train", ""), ("sweep", GRID)])
def test_the_option_storage_wins_over_the_jobs(cli: Any, command: str, search: str) -> None:
    Path("job.yaml").write_text(JOB.replace("DATA_SCALING", "none") + "storage: runs\n" + search)
    outcome = cli(command, "job.yaml", "--storage", "elsewhere")
    assert "it would begin here" in outcome.err
    (run,) = Path("elsewhere").glob("demo-*")
    assert not Path("runs").exists()
    assert json.loads((run / "resolved.json").read_text())["job"]["storage"] == str(Path.cwd() / "elsewhere")
    outcome = cli(command, "job.yaml", "storage=a", "--storage", "b")
    assert (outcome.code, outcome.err) == (2, "--storage and storage=... are both given; give one of them\n")
    # The run is found there, also from another folder, and keeps its job.
    outcome = cli(command, "--resume", str(run.absolute()), "optimizer.lr=0.5")
    assert outcome.code == 2
    assert outcome.err.startswith("command line: optimizer.lr: --resume goes on with the run's own job")
    assert ("--extend" in outcome.err) == (command == "sweep")
    assert (
        "it would begin here" in cli(command, "job.yaml", "--resume", run.name, "--storage", "elsewhere").err
    )
    assert "it would begin here" in cli(command, "--resume", run.name, "--storage", "elsewhere", "seed=0").err


def test_overrides_without_a_job_are_no_file(cli: Any) -> None:
    outcome = cli("train", "train.epochs=4")
    assert (outcome.code, outcome.err) == (
        2,
        "raydnn train: JOB is missing; give a job file, or --resume RUN\n",
    )


def test_what_trials_ask_for_in_vain_is_said_once_with_its_share(capsys: pytest.CaptureFixture[str]) -> None:
    """Batch norm meets a batch of one in the last batch of 33 examples, and in every batch of size 1."""
    trials = [
        trial_of_job(
            Job.model_validate(
                {
                    "name": "alone",
                    "data": "digits",
                    "optimizer": "adam",
                    "normalization": normalization,
                    "train": {"batch_size": size},
                }
            )
        )
        for normalization, size in (("batch_norm", 1), ("batch_norm", 32), ("batch_norm", 5), ("none", 1))
    ]
    (line,) = trial_warnings(trials, 33)
    assert line.startswith("warning: normalization: batch_norm with a train.batch_size of 1: ")
    assert line.endswith(" (2 of 4 trials)")


@pytest.mark.parametrize(("command", "text"), [("train", ""), ("sweep", SEARCH), ("plan", "")])
def test_something_is_said_before_what_takes_long_is_imported(
    command: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "new.yaml"
    path.write_text(JOB.replace("DATA_SCALING", "unit") + text)
    code = (
        "import sys\n"
        "import raydnn.cli.printing.terminal as terminal\n"
        "write = terminal.Outlet.write\n"
        "def first(self, text):\n"
        "    write(self, text + str({'torch', 'ray'} & set(sys.modules)))\n"
        "    import os; os._exit(0)\n"
        "terminal.Outlet.write = first\n"
        "from raydnn.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stderr == f"preparing {path} ...\nset()"


def test_too_little_space_is_told_before_anything_is_made(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    training = {"name": "x", "data": "digits", "optimizer": "sgd", "train": {"epochs": 1000}}
    Path("job.yaml").write_text(json.dumps(training))
    monkeypatch.setattr(
        "raydnn.store.storage.disk.os.statvfs", lambda _: SimpleNamespace(f_bavail=7, f_frsize=2**20)
    )
    told = cli("train", "job.yaml")
    assert told.code == 5
    assert "results has 7.0 MiB of free space, and checkpoints and rows take" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]
