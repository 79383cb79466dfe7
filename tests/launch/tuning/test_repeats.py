"""Several seeds a configuration: judged as one, confirmed, told with their spread, and the same after a kill."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from raydnn.analysis.verdict.winner import winner
from raydnn.launch.runs.runs import commit_pending
from raydnn.launch.runs.seed_spread import note_spread
from raydnn.launch.tuning.judging import Judging, ray_scheduler
from raydnn.launch.tuning.replay import replay
from raydnn.search.packing import StackPlan, stacks_of
from raydnn.search.stages import Stage, seeded
from raydnn.spec.search import Search
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import EventLog, commit_epochs, commit_trials
from raydnn.store.read import load, read
from raydnn.store.run import Run, create_run, run_at
from raydnn.store.storage.files import locate
from raydnn.training.stack.member import trial_id

NAN = float("nan")
SEARCH = Stage("search", 2)
CONFIRM = Stage("confirm", 2, offset=2, judged=False)
LRS = (0.1, 0.2, 0.3, 0.4)


def plans() -> tuple[list[StackPlan], list[StackPlan]]:
    """Two stacks of two configurations with two seeds each; then the first of them with two further seeds."""
    specs = [
        TrialSpec.model_validate({"data": "digits", "optimizer": {"name": "sgd", "lr": lr}}) for lr in LRS
    ]
    searching = stacks_of(seeded(specs, SEARCH), SEARCH, 4, None, 0, 0)
    return searching, stacks_of(seeded(specs[:1], CONFIRM), CONFIRM, 4, None, 2, 8)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(str(tmp_path), "r", "", {"metric": "validation_loss", "mode": "min", "job": {}})


def judging(run: Run) -> tuple[Any, Judging]:
    asha = {"name": "asha", "min_epochs": 1, "max_epochs": 3, "eta": 2}
    search = Search.model_validate(
        {"scheduler": asha, "trials": 4, "space": {"optimizer.lr": "uniform(0, 1)"}}
    )
    scheduler = ray_scheduler(search, 3, 0)
    assert scheduler is not None
    return scheduler, Judging(scheduler, EventLog(run), set())


def test_a_scheduler_sees_configurations_by_the_mean_of_the_seeds_that_still_run(run: Run) -> None:
    """Replayed from the store, where one seed has diverged: its configuration is judged by the other."""
    losses = {0: 0.2, 1: 0.4, 2: 0.9, 3: 0.1, 4: NAN, 5: 0.35, 6: 0.25, 7: 0.25}
    (first, second), confirming = plans()
    for plan in (first, second):
        rows = [
            {"trial_id": trial_id(n), "epoch": 1, "train_loss": losses[n], "validation_loss": losses[n]}
            for n, _ in plan.trials
        ]
        commit_epochs(run, plan.number, 1, rows)
    scheduler, judges = judging(run)
    answers = replay(run, [[first, second], confirming], {0, 1}, scheduler, judges, "validation_loss")
    verdicts = {(stack, epoch): of_stack for stack, epoch, of_stack in answers}
    # Means 0.3 and 0.5, then 0.35 and 0.25: each has to be in the better half of those before.
    assert {n: v.stop for n, v in (verdicts[0, 1] | verdicts[1, 1]).items()} == {
        **{0: False, 2: True},
        **{4: False, 6: False},
    }
    events = [row for row in read(run.location, "events").to_pylist() if row["trial_id"]]
    told = {row["trial_id"]: row["value"] for row in events}
    assert told == pytest.approx({"t00000": 0.3, "t00002": 0.5, "t00004": 0.35, "t00006": 0.25})


def test_a_stack_that_nobody_judges_holds_up_no_one(run: Run) -> None:
    (first, second), (confirming,) = plans()
    _, judges = judging(run)
    judges.expect([first, second])
    assert not judges.result(1, 1, {4: 0.5, 6: 0.1})
    answers = judges.result(0, 1, {0: 0.3, 2: 0.2})
    assert {(stack, epoch) for stack, epoch, _ in answers} == {(0, 1), (1, 1)}
    judges.expect([confirming])
    judges.ended(0)
    judges.ended(2)
    judges.ended(1)


def test_the_spread_is_written_once_and_again_alike(run: Run) -> None:
    searching, confirming = plans()
    every = [*searching, *confirming]
    commit_pending(run, every)
    values = [0.5, 0.7, 0.2, None, None, None, 0.1, 0.1, 0.6, 0.8]
    rows = {row["number"]: row for row in read(run.location, "trials").to_pylist()}
    assert [rows[n]["repeat"] for n in range(10)] == [0, 1] * 4 + [2, 3]
    for plan in every:
        told = [
            {**rows[n], "state": "FAILED" if values[n] is None else "COMPLETED", "best_value": values[n]}
            for n, _ in plan.trials
        ]
        commit_trials(run, plan.number, 1, [{**row, "attempts": None} for row in told])
    note_spread(run, every)
    after = {row["number"]: row for row in read(run.location, "trials").to_pylist()}
    names = ("mean_value", "std_value", "seeds")
    found = [tuple(after[n][name] for name in names) for n in range(10)]
    spread = pytest.approx(0.02**0.5)
    assert found[0] == found[1] == (pytest.approx(0.6), spread, 2)
    assert found[2] == found[3] == (0.2, None, 1)
    assert found[4] == found[5] == (None, None, 0)
    assert found[6] == found[7] == (0.1, 0.0, 2)
    assert found[8] == found[9] == (pytest.approx(0.7), spread, 2)
    assert {row["attempts"] for row in after.values()} == {1}
    written = [path.stat().st_mtime_ns for path in sorted(run.local_path("trials").iterdir())]
    note_spread(run, every)
    assert [path.stat().st_mtime_ns for path in sorted(run.local_path("trials").iterdir())] == written


JOB = """
name: repeated
seed: 3
data: {name: digits, validation_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [16]}
optimizer: sgd
search:
  scheduler: {name: asha, min_epochs: 1, max_epochs: 6, eta: 2}
  trials: 5
  repeats: 2
  confirm: 2
  confirm_seeds: 2
  stack: 6
  space:
    optimizer.lr: choice(0.01, 0.03, 0.1, 0.3, 1e12)
"""
RUNGS = (1, 2, 4)


def rows(run: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(run, table).to_pylist()
    return found


@pytest.fixture(scope="module")
def begin(raydnn: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    folder = tmp_path_factory.mktemp("repeats")
    (folder / "job.yaml").write_text(JOB)

    def start(name: str) -> Any:
        job = str(folder / "job.yaml")
        return raydnn(folder / name, "sweep", job, f"storage={folder}", "--run-id", name)

    return start


@pytest.fixture(scope="module")
def resumed(raydnn: Callable[..., Any], begin: Callable[..., Any]) -> Path:
    """A sweep whose driver was killed while it confirmed, and that was gone on with to its end."""
    command = begin("killed")
    run: Path = command.run
    command.wait_until(lambda: (run / "trials").is_dir() and len(rows(run, "trials")) == 14)
    command.process.send_signal(signal.SIGKILL)
    assert command.end()[0] == -signal.SIGKILL
    before = rows(run, "trials")
    assert {row["mean_value"] for row in before} == {None}
    code, output = raydnn(run, "sweep", "--resume", str(run)).end()
    assert code == 0, output
    same = ("number", "config_json", "stage", "repeat")
    assert [[row[name] for name in same] for row in rows(run, "trials")] == [
        [row[name] for name in same] for row in before
    ]
    best = winner(run_at(locate(run)))
    assert best is not None
    assert f"winner: {best.trial_id}" in output
    assert "over 2 confirming seeds" in output
    return run


@pytest.mark.ray
@pytest.mark.slow
def test_a_kill_changes_nothing(begin: Callable[..., Any], resumed: Path) -> None:
    command = begin("whole")
    code, output = command.end()
    assert code == 0, output
    columns = ["number", "state", "seed", "config_hash", "stage", "repeat", "epochs"]
    columns += ["best_value", "mean_value", "std_value", "seeds"]
    found = [
        [{name: row[name] for name in columns} for row in rows(r, "trials")] for r in (resumed, command.run)
    ]
    assert found[0] == found[1]


@pytest.mark.ray
@pytest.mark.slow
def test_seeds_share_their_verdicts_and_spreads_are_those_of_the_values(resumed: Path) -> None:
    trials = rows(resumed, "trials")
    searched, confirmed = trials[:10], trials[10:]
    assert [(row["stage"], row["repeat"], row["seed"]) for row in searched] == [
        ("search", number % 2, 3 + number % 2) for number in range(10)
    ]
    losses = {(row["trial_id"], row["epoch"]): row["validation_loss"] for row in rows(resumed, "epochs")}
    verdicts = {
        (row["trial_id"], row["epoch"]): row
        for row in rows(resumed, "events")
        if row["kind"] in ("stopped", "promoted")
    }
    assert len(verdicts) >= 8
    for (leader, epoch), row in verdicts.items():
        number = int(leader[1:])
        assert number % 2 == 0
        own = [losses[trial_id(n), epoch] for n in (number, number + 1)]
        assert row["value"] == fmean(own)
    for leader, other in zip(searched[::2], searched[1::2], strict=True):
        assert leader["config_hash"] == other["config_hash"]
        if "DIVERGED" not in (leader["state"], other["state"]):
            assert (leader["state"], leader["epochs"]) == (other["state"], other["epochs"])
    assert {row["state"] for row in searched} == {"COMPLETED", "STOPPED", "DIVERGED"}

    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in trials:
        groups[row["stage"], row["config_hash"]].append(row)
    for group in groups.values():
        values = [row["best_value"] for row in group if row["state"] != "DIVERGED"]
        for row in group:
            assert row["seeds"] == len(values)
            assert row["mean_value"] == (pytest.approx(fmean(values)) if values else None)
            assert row["std_value"] == (pytest.approx(stdev(values)) if len(values) > 1 else None)
    whole = [group for (stage, _), group in groups.items() if stage == "search" and group[0]["seeds"] == 2]
    best = sorted(whole, key=lambda group: group[0]["mean_value"])[:2]
    assert [row["config_hash"] for row in confirmed[::2]] == [group[0]["config_hash"] for group in best]
    assert [(row["stage"], row["repeat"], row["seed"]) for row in confirmed] == [
        ("confirm", 2 + place % 2, 5 + place % 2) for place in range(4)
    ]
    assert {(row["state"], row["epochs"], row["rung"]) for row in confirmed} == {("COMPLETED", 6, None)}
