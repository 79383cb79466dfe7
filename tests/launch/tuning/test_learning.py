"""A sweep that learns from its own results, through the real command line: killed, resumed, proposed again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raydnn.errors import StoreError
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.tuning.sweep import all_ended
from raydnn.search.algorithms.registry import generations
from raydnn.space.space import build_space
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.store.commit import commit_trials
from raydnn.store.read import load
from raydnn.store.run import Run, run_at
from raydnn.store.storage.files import locate

pytestmark = [pytest.mark.ray, pytest.mark.slow]

JOB = """
name: learning
seed: 3
data: {name: digits, validation_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [16]}
optimizer: sgd
search:
  algorithm: {name: tpe, startup: 5, batch: 5}
  scheduler: {name: asha, min_epochs: 1, max_epochs: 4, eta: 2}
  trials: 15
  stack: 4
  space:
    optimizer: [sgd, adamw]
    optimizer.sgd.lr: choice(0.01, 0.1, 1e12)
    optimizer.sgd.momentum: uniform(0, 0.99)
    optimizer.adamw.lr: loguniform(1e-3, 1e-1)
    regularization.dropout: uniform(0, 0.5)
"""


def trials(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(run, "trials").to_pylist()
    return found


@pytest.fixture(scope="module")
def resumed(raydnn: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A sweep whose driver was killed in its second generation, and that was gone on with to its end."""
    folder = tmp_path_factory.mktemp("learning")
    path = folder / "job.yaml"
    path.write_text(JOB)
    run = folder / "run"
    command = raydnn(run, "sweep", str(path), f"storage={folder}", "--run-id", "run")
    command.wait_until(lambda: (run / "trials").is_dir() and len(trials(run)) > 5 and command.commits(2))
    command.process.send_signal(signal.SIGKILL)
    assert command.end()[0] == -signal.SIGKILL
    assert 5 < len(trials(run)) < 15
    code, output = raydnn(run, "sweep", "--resume", str(run)).end()
    assert code == 0, output
    assert "15 trials, the first 5 in" in output
    return run_at(locate(run))


def again(run: Run) -> Stacks:
    """The stacks of a run, as they would be proposed now."""
    job = Job.model_validate(run.resolved()["job"])
    assert job.search is not None
    return Stacks(generations(build_space(job, Positions({})), job), job.search.stack)


def test_every_trial_ends_once(resumed: Run) -> None:
    rows = trials(Path(resumed.uri))
    assert [row["number"] for row in rows] == list(range(15))
    assert len({row["config_hash"] for row in rows}) == 15
    assert {row["state"] for row in rows} <= {"COMPLETED", "STOPPED", "DIVERGED"}


def test_what_was_trained_is_what_the_results_propose(resumed: Run) -> None:
    """The kill changed nothing: from the results alone, without training, the same trials follow."""
    stacks = again(resumed)
    first = len(stacks.plans)
    assert all_ended(resumed, stacks)
    assert stacks.over
    assert len(stacks.plans) > first
    proposed = {number: trial.config_json for plan in stacks.plans for number, trial in plan.trials}
    assert proposed == {row["number"]: row["config_json"] for row in trials(Path(resumed.uri))}


def test_other_proposals_than_the_stores_are_not_trained(resumed: Run) -> None:
    stacks = again(resumed)
    last = trials(Path(resumed.uri))[-1]
    commit_trials(resumed, 99, last["attempts"] + 1, [{**last, "config_hash": "0" * 16, "attempts": None}])
    with pytest.raises(StoreError, match="its trial 14 is not the one that is proposed now"):
        all_ended(resumed, stacks)
