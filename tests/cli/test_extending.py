"""`raydnn sweep` that extends a run or begins with given configurations: what is refused, and what is kept."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raydnn.errors import RaydnnError
from raydnn.launch.runs.driver import note_driver
from raydnn.store.commit import commit_trials
from raydnn.store.read import read
from raydnn.store.runs import open_run
from raydnn.store.storage.files import locate

JOB = """\
name: demo
data: {name: digits, scaling: unit}
optimizer: {name: sgd, lr: 0.2}
train: {epochs: 3}
search:
  trials: 4
  scheduler: {name: asha}
  space:
    optimizer.lr: loguniform(0.01, 1)
    activation: [relu, elu]
"""
CHANGES = "search.trials, search.space, search.algorithm, search.scheduler, search.start, train.epochs"


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise RaydnnError("it would begin here")

    monkeypatch.setattr("raydnn.launch.tuning.sweep.sweep_run", stop)
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(JOB)


@pytest.fixture
def sweep(cli: Any) -> Callable[..., str]:
    """Run `raydnn sweep`, which must come to the training; what it said."""

    def run(*arguments: str) -> str:
        outcome = cli("sweep", *arguments)
        assert outcome.err.endswith("it would begin here\n"), outcome.err
        return str(outcome.err)

    return run


@pytest.fixture
def begun(sweep: Callable[..., str]) -> None:
    """A run `old` whose trials have ended, the later the better."""
    sweep("job.yaml", "--run-id", "old")
    run = open_run("results", "old")
    rows = [
        {**row, "state": "COMPLETED", "best_value": 9.0 - row["number"], "epochs": 3, "attempts": None}
        for row in read(run.location, "trials").to_pylist()
    ]
    commit_trials(run, 0, 9, rows)


def resolved(run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("results", run_id, "resolved.json").read_text())
    return found


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["search.trials=+0"], 2, "search.trials: 4, but the run has 4 already; allowed: above 4, such as"),
        (["train.epochs=+1"], 2, "search.trials=+4 (trials that are trained longer count as new ones)"),
        (
            ["search.trials=+1", "search.metric=train_loss"],
            2,
            "command line: search.metric: 'train_loss', but the run has 'validation_loss'; an extension may change: "
            + CHANGES,
        ),
        (
            ["search.trials=+1", "optimizer.lr=0.1"],
            2,
            "optimizer.lr: 0.1, but the run has 0.2; an extension may",
        ),
        (
            ["search.trials=+1", "search.repeats=2"],
            2,
            "search.repeats: 2, but the run has 1; an extension may",
        ),
        (["search.trials=+1", "optimizer.lr=+1"], 2, "optimizer.lr: +1 adds to what a run has; allowed with"),
        (["search.trials=+1.5"], 2, "search.trials: +1.5; allowed: +N, N a whole number"),
        (
            ["search.trials=+1", "train.epochs=2"],
            2,
            "train.epochs: 2, but the run has 3; allowed: as many or more",
        ),
        (
            ["search.scheduler.max_epochs=+3"],
            2,
            "the run's scheduler has no max_epochs; allowed: train.epochs=+3",
        ),
        (
            ["search.trials=+1", "search.algorithm=pso"],
            2,
            "run old: search.space.activation: activation: choice(relu, elu) has no order",
        ),
        (["search.trials=+1", "search.scheduler.min_epochs=4"], 2, "min_epochs: 4 is above train.epochs: 3"),
        (["search.trials=+1", "search.start=[best:none:2]"], 3, "results. The newest is 'old'."),
        (["search.trials=+1", "--resume", "old"], 2, "--extend and --resume are both given"),
        (["other.yaml", "search.trials=9"], 2, "name: 'other', but the run has 'demo'"),
    ],
)
def test_what_does_not_fit_the_run_is_refused_and_changes_nothing(
    cli: Any, arguments: list[str], code: int, told: str
) -> None:
    Path("other.yaml").write_text(JOB.replace("demo", "other"))
    before = resolved("old")
    outcome = cli("sweep", "--extend", "old", *arguments)
    assert told in outcome.err
    assert outcome.code == code
    assert resolved("old") == before


def test_an_unknown_run_and_a_training_cannot_be_extended(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = cli("sweep", "--extend", "none", "search.trials=+1")
    assert (outcome.code, outcome.err) == (3, "run 'none' is not in results. There are no runs.\n")

    def stop(*_: Any) -> None:
        raise RaydnnError("it would begin here")

    monkeypatch.setattr("raydnn.launch.engine.on_ray.engines.Embedded.train", stop)
    Path("train.yaml").write_text(JOB.partition("search:")[0])
    cli("train", "train.yaml", "--run-id", "trained")
    outcome = cli("sweep", "--extend", "trained", "search.trials=+1")
    resume = f"raydnn train --resume {Path('results/trained').resolve()}"
    assert (outcome.code, outcome.err) == (2, f"run trained is a train; go on with `{resume}`\n")
    assert cli("sweep", "--resume", "none").code == 3


@pytest.mark.usefixtures("begun")
def test_a_run_that_is_driven_cannot_be_extended(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    note_driver(locate("results/old/logs"))
    monkeypatch.setattr("raydnn.launch.runs.lease._is_mine", lambda _driver: False)
    monkeypatch.setattr("raydnn.launch.runs.lease.is_alive", lambda _driver: True)
    outcome = cli("sweep", "--extend", "old", "search.trials=+1")
    assert (outcome.code, "is still driven by process" in outcome.err) == (2, True)


def test_an_amount_to_add_needs_a_run(cli: Any) -> None:
    outcome = cli("sweep", "job.yaml", "search.trials=+4")
    assert outcome.code == 2
    assert outcome.err == (
        "command line: search.trials: +4 adds to what a run has; allowed with raydnn sweep --extend RUN, "
        "for search.trials, train.epochs, search.scheduler.max_epochs\n"
    )


@pytest.mark.usefixtures("begun")
def test_an_extension_is_kept_and_may_be_extended_again(sweep: Callable[..., str]) -> None:
    before = resolved("old")
    assert "run old: extended from 4 to 7 trials" in sweep("--extend", "old", "search.trials=+3")
    Path("more.yaml").write_text(JOB.replace("trials: 4", "trials: 9").replace("[relu, elu]", "[tanh]"))
    assert "run old: extended from 7 to 9 trials" in sweep("--extend", "results/old", "more.yaml")
    after = resolved("old")
    assert after["segments"][0] == before["segments"][0]
    assert [(each["trials"], each["job"]["search"]["trials"]) for each in after["segments"]] == [
        (4, 4),
        (3, 7),
        (2, 9),
    ]
    assert after["job"] == after["segments"][-1]["job"]
    assert after["job"]["search"]["space"]["activation"] == ["tanh"]
    assert after["trials"] == 9
    assert "9 trials" in sweep("--resume", "old")


@pytest.mark.usefixtures("begun")
def test_the_best_of_another_run_are_kept_when_it_is_gone(sweep: Callable[..., str]) -> None:
    sweep("job.yaml", "--run-id", "new", "search.trials=5", "search.start=[base, best:old:2, base]")
    best = read(open_run("results", "old").location, "trials").to_pylist()[:-3:-1]
    shutil.rmtree("results/old")
    new = open_run("results", "new")
    found = sorted(read(new.location, "trials").to_pylist(), key=lambda row: row["number"])
    assert len(found) == 5
    assert found[0]["p_optimizer_lr"] == 0.2
    assert [row["config_hash"] for row in found[1:3]] == [row["config_hash"] for row in best]
    assert len(resolved("new")["segments"][0]["start"]) == 4
    sweep("--resume", "new")
    sweep("--extend", "new", "search.trials=+2")
    assert resolved("new")["segments"][1]["start"] == []


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize(
    ("overrides", "code", "told"),
    [
        (
            ["search.start=[best:old:1]", "search.space.optimizer.lr=uniform(0.9, 0.99)"],
            2,
            "search.start: trial t00003 of run old: optimizer.lr: ",
        ),
        (["search.start=[best:none:1]"], 3, "results. The newest is 'old'."),
        (
            ["search.start=[base]", "optimizer.lr=2"],
            2,
            "command line: search.start: base: optimizer.lr: 2.0; allowed: loguniform(0.01, 1)",
        ),
        (["search.start=[best:old:0]"], 2, "search.start: 'best:old:0'; allowed: base, best:RUN:n"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "plan"])
def test_starts_outside_of_the_space_are_told(
    cli: Any, command: str, overrides: list[str], code: int, told: str
) -> None:
    outcome = cli(command, "job.yaml", *overrides)
    assert told in outcome.err
    assert outcome.code == code


@pytest.mark.usefixtures("begun")
def test_what_the_other_run_searched_and_this_job_fixes_must_be_equal(cli: Any) -> None:
    Path("fixed.yaml").write_text(JOB.replace("    activation: [relu, elu]\n", "") + "activation: tanh\n")
    outcome = cli("sweep", "fixed.yaml", "search.start=[best:old:1]")
    assert re.search(
        r"trial t00003 of run old: activation: r?elu; allowed: tanh, which this job", outcome.err
    )
    assert outcome.code == 2
