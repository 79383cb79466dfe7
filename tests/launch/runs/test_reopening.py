"""Failed trials that are trained again on demand, and what a search has learned from their failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raydnn.cli.main import main
from raydnn.launch.runs.reopening import reopen
from raydnn.launch.runs.runs import begin, mark
from raydnn.launch.runs.stacks import Stacks
from raydnn.search.history import Result
from raydnn.search.stages import SEARCH
from raydnn.spec.job import Job
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.store.commit import commit_trials, next_attempt
from raydnn.store.read import load, read
from raydnn.store.run import Run

JOB: dict[str, Any] = {
    "name": "job",
    "data": {"name": "digits", "validation_fraction": 0.2},
    "optimizer": {"name": "sgd", "lr": 1e-4},
    "train": {"epochs": 2},
}


class Twos:
    """Generations of two trials each; keeps what it is told of them."""

    over, segment_over, by_rung, stage, expected = False, False, False, SEARCH, 4

    def __init__(self) -> None:
        self.learned: list[Mapping[int, Result]] = []

    def propose(self) -> list[TrialSpec]:
        first = 2 * len(self.learned)
        return [trial_of_job(Job.model_validate({**JOB, "seed": first + n})) for n in range(2)]

    def learn(self, results: Mapping[int, Result]) -> None:
        self.learned.append(results)


def stacks() -> tuple[Twos, Stacks]:
    source = Twos()
    return source, Stacks(source, 1)


def end(run: Run, found: Stacks, number: int, state: str, value: float | None) -> None:
    (row,) = [row for row in read(run.location, "trials").to_pylist() if row["number"] == number]
    changed = {**row, "state": state, "best_value": value, "epochs": 2, "attempts": None}
    stack = found.plans[number].number
    commit_trials(run, stack, next_attempt(run, stack), [changed])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    search = {"trials": 4, "space": {"optimizer.lr": "loguniform(1e-3, 1)"}}
    job = Job.model_validate({**JOB, "storage": str(tmp_path), "search": search})
    return begin(job, "", "r", "sweep", stacks()[1].plans)


def test_only_failed_trials_wait_again_and_forget_their_error(run: Run) -> None:
    found = stacks()[1]
    end(run, found, 0, "DIVERGED", None)
    mark(run, found.plans, state="FAILED", error_type="ValueError", error="no", stop_reason="error")
    assert reopen(run, found.generations) == 1
    rows = read(run.location, "trials").to_pylist()
    told = ("state", "error_type", "error", "stop_reason")
    assert [tuple(row[name] for name in told) for row in rows] == [
        ("DIVERGED", None, None, None),
        ("PENDING", None, None, None),
    ]
    assert reopen(run, found.generations) == 0


def test_what_was_learned_of_a_failure_stays_learned(run: Run) -> None:
    """The second generation was proposed after trial 0 had failed; trial 2 fails, and nothing follows it yet."""
    source, found = stacks()
    end(run, found, 0, "FAILED", None)
    end(run, found, 1, "COMPLETED", 0.5)
    found.follow(run)
    end(run, found, 2, "FAILED", None)
    end(run, found, 3, "COMPLETED", 0.4)
    assert reopen(run, found.generations) == 2
    for number in (0, 2):
        end(run, found, number, "COMPLETED", 0.1)
    # A driver of its own learns from the store what the first one had, and of trial 2 what became of it at last.
    resumed, again = stacks()
    again.follow(run)
    assert resumed.learned == source.learned == [{0: Result(None, 2, False), 1: Result(0.5, 2, True)}]
    again.follow(run)
    assert resumed.learned[1] == {2: Result(0.1, 2, True), 3: Result(0.4, 2, True)}


LOSS = """
from pathlib import Path
def loss(outputs, targets):
    if Path("broken").exists():
        raise ValueError("no luck")
    return outputs.square().mean(1)
"""


def test_a_training_that_failed_is_trained_again_only_when_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("reopened_loss.py").write_text(LOSS)
    Path("broken").touch()
    loss = {"name": "function", "path": "reopened_loss:loss"}
    Path("job.yaml").write_text(json.dumps({**JOB, "loss": loss}))

    def train(*arguments: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["train", *arguments])
        return exit_.value.code, load("results/r", "trials")["state"][0].as_py(), capsys.readouterr().err

    code, state, told = train("job.yaml", "--run-id", "r")
    assert (code, state) == (1, "FAILED"), told
    assert f"raydnn train --resume {tmp_path}/results/r --retry-failed" in told
    Path("broken").unlink()
    code, state, told = train("--resume", "r")
    assert (code, state) == (1, "FAILED"), told
    assert "nothing is left to train" in told
    code, state, told = train("--resume", "r", "--retry-failed")
    assert (code, state) == (0, "COMPLETED"), told
    assert load("results/r", "epochs")["epoch"].to_pylist() == [1, 2]
    assert train("--resume", "r", "--retry-failed")[:2] == (0, "COMPLETED")
    assert train("job.yaml", "--retry-failed")[0] == 2
