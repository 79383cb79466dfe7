"""What is committed is there once: whatever was superseded, repeated, compacted or interrupted."""

from __future__ import annotations

import math
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.errors import StoreError
from raydnn.store.commit import EventLog, commit_epochs, commit_trials, next_attempt
from raydnn.store.compact import compact
from raydnn.store.read import read
from raydnn.store.run import Run, create_run

RESOLVED = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": {}}
STACKS = 3


def epoch(trial: int, number: int, loss: float) -> dict[str, Any]:
    return {"trial_id": f"t{trial:05d}", "epoch": number, "train_loss": loss}


def losses(run: Run) -> dict[tuple[str, int], float]:
    rows = read(run.location, "epochs").to_pylist()
    found = {(row["trial_id"], row["epoch"]): row["train_loss"] for row in rows}
    assert len(found) == len(rows)
    assert list(found) == sorted(found)
    return found


commits = st.lists(
    st.tuples(
        st.integers(0, STACKS - 1),
        st.integers(1, 4),
        st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(commits)
def test_superseded_attempts_in_any_order_leave_every_key_once(
    history: list[tuple[int, int, list[int], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(folder, "r", "", RESOLVED)
        newest: dict[tuple[str, int], tuple[int, float]] = {}
        trials: dict[str, tuple[int, float]] = {}
        for number, (stack, attempt, epochs, compacting) in enumerate(history):
            # One attempt computes a key's value once; only another attempt may come to another one.
            value = float(attempt)
            commit_epochs(run, stack, attempt, [epoch(stack, e, value) for e in epochs])
            commit_trials(run, stack, attempt, [{"trial_id": f"t{stack:05d}", "best_value": float(number)}])
            for e in epochs:
                key = (f"t{stack:05d}", e)
                newest[key] = max(newest.get(key, (0, 0.0)), (attempt, value))
            trial = f"t{stack:05d}"
            trials[trial] = max(trials.get(trial, (0, 0.0)), (attempt, float(number)))
            if compacting:
                compact(run)
        assert losses(run) == {key: value for key, (_, value) in newest.items()}
        table = read(run.location, "trials")
        found = {r["trial_id"]: (r["attempts"], r["best_value"]) for r in table.to_pylist()}
        assert found == trials
        assert table.num_rows == len(trials)
        for stack in range(STACKS):
            used = [attempt for s, attempt, _, _ in history if s == stack]
            assert next_attempt(run, stack) == 1 + max(used, default=0)


def test_two_portions_of_one_epoch_are_both_kept(run: Run) -> None:
    commit_epochs(run, 0, 1, [epoch(0, 1, 0.5)])
    commit_epochs(run, 0, 1, [epoch(1, 1, 0.6)])
    assert losses(run) == {("t00000", 1): 0.5, ("t00001", 1): 0.6}


def test_the_rows_carry_what_the_commit_knows(run: Run) -> None:
    commit_epochs(run, 0, 2, [{**epoch(0, 1, math.nan), "validation_loss": math.inf}])
    (row,) = read(run.location, "epochs").to_pylist()
    assert (row["run_id"], row["attempt"], row["lr"]) == ("one", 2, None)
    assert math.isnan(row["train_loss"])
    assert row["validation_loss"] == math.inf
    assert row["committed_at"].utcoffset().total_seconds() == 0
    assert (run.local_path("epochs") / "stack-00000.a002.e000001.parquet").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**epoch(0, 1, 0.0), "colour": 1}, "no column 'colour'"),
        ({"epoch": 1}, "no trial_id"),
        ({**epoch(0, 1, 0.0), "attempt": 7}, "attempt: 7"),
        ({**epoch(0, 1, 0.0), "step": 1.5}, "step: 1.5 is no integer"),
    ],
)
def test_a_wrong_row_is_refused_and_nothing_is_written(run: Run, row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        commit_epochs(run, 0, 1, [epoch(1, 1, 0.0), row])
    assert list(run.local_path("epochs").iterdir()) == []


def test_a_crash_at_any_step_of_a_commit_keeps_what_was_committed(
    tmp_path: Path, every_crash: Callable[..., int]
) -> None:
    numbers = iter(range(1000))
    seen = set()

    def prepare() -> Run:
        run = create_run(str(tmp_path), f"r{next(numbers)}", "", RESOLVED)
        commit_epochs(run, 0, 1, [epoch(0, 1, 0.1)])
        commit_trials(run, 0, 1, [{"trial_id": "t00000", "epochs": 1}])
        return run

    def act(run: Run) -> None:
        commit_epochs(run, 0, 1, [epoch(0, 2, 0.2)])
        commit_trials(run, 0, 1, [{"trial_id": "t00000", "epochs": 2}])

    def check(run: Run) -> None:
        (trial,) = read(run.location, "trials")["epochs"].to_pylist()
        committed = len(losses(run))
        assert losses(run) == {("t00000", e): e / 10 for e in range(1, committed + 1)}
        seen.add((committed, trial))

    every_crash(prepare, act, check)
    assert seen == {(1, 1), (2, 1), (2, 2)}


def test_events_are_numbered_on_by_the_next_driver(run: Run) -> None:
    log = EventLog(run)
    log.add("started", trial_id="t00000")
    log.add("rung", rung=1, value=0.5, cutoff=0.4, detail={"why": "ü"})
    log.commit()
    log.add("lost: never committed")
    second = EventLog(run)
    second.add("resumed")
    second.commit()
    second.commit()
    compact(run)
    third = EventLog(run)
    third.add("ended")
    third.commit()
    rows = read(run.location, "events").to_pylist()
    assert [(row["sequence"], row["kind"]) for row in rows] == [
        (1, "started"),
        (2, "rung"),
        (3, "resumed"),
        (4, "ended"),
    ]
    assert rows[1]["detail"] == '{"why": "ü"}'


def test_events_wait_for_a_commit_that_succeeds(run: Run) -> None:
    log = EventLog(run)
    log.add("started")
    folder = run.local_path("events")
    folder.rename(folder.with_name("away"))
    with pytest.raises(StoreError, match="cannot be written"):
        log.commit()
    folder.with_name("away").rename(folder)
    log.commit()
    assert read(run.location, "events").num_rows == 1


def test_attempts_go_on_after_compaction_and_damage(run: Run) -> None:
    assert next_attempt(run, 4) == 1
    commit_trials(run, 4, 0, [{"trial_id": "t00000", "state": "PENDING"}])
    assert next_attempt(run, 4) == 1
    commit_epochs(run, 4, 3, [epoch(0, 1, 0.1)])
    commit_epochs(run, 5, 1, [epoch(1, 1, 0.1)])
    compact(run)
    assert next_attempt(run, 4) == 4
    commit_trials(run, 4, 4, [{"trial_id": "t00000", "state": "RUNNING"}])
    run.local_path("trials", "stack-00004.a004.parquet").write_bytes(b"torn")
    with pytest.warns(UserWarning, match="stack-00004"):
        read(run.location, "trials")
    assert next_attempt(run, 4) == 5
    assert next_attempt(run, 5) == 2
    compact(run)
    assert next_attempt(run, 4) == 5


def _write(storage: str, run_id: str, stack: int, commits: int) -> None:
    run = create_run(storage, run_id, "", RESOLVED)
    for number in range(1, commits + 1):
        commit_epochs(run, stack, 1, [epoch(stack, number, float(number))])
        commit_trials(run, stack, 1, [{"trial_id": f"t{stack:05d}", "number": stack, "epochs": number}])


def test_eight_processes_commit_to_one_storage(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from raydnn.store.read import load

    # What they run is found again by its name, whatever other tests have done to the path.
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    Path(storage).mkdir()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["raydnn.store.commit"])
    commits = 100
    writers = [context.Process(target=_write, args=(storage, f"r{n}", n, commits)) for n in range(8)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        counts = load(storage)["epochs"].to_pylist()
        assert len(counts) <= 8
        writers[0].join(0.2)
        for writer in writers:
            writer.join(0.01)
    assert [writer.exitcode for writer in writers] == [0] * 8
    assert load(storage, "epochs").num_rows == 8 * commits
    assert load(storage)["epochs"].to_pylist() == [commits] * 8
