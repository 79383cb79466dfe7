"""Rows that are gone are told, and whole tables say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydnn.analysis.sql import sql
from raydnn.analysis.tables import list_summaries, show
from raydnn.analysis.vanished import vanished, without_state
from raydnn.store.commit import EventLog, commit_epochs, commit_layers, commit_trials
from raydnn.store.run import Run, create_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Three stacks of one trial, four epochs each; the last one still runs."""
    made = create_run(str(tmp_path), "r", "", {"metric": "train_loss", "mode": "min", "command": "sweep"})
    log = EventLog(made)
    for number in range(3):
        trial = {"trial_id": f"t{number:05d}", "number": number}
        ended = {"state": "COMPLETED", "epochs": 4} if number < 2 else {"state": "RUNNING"}
        commit_trials(made, number, 1, [{**trial, **ended}])
        for epoch in range(1, 5):
            commit_epochs(made, number, 1, [{"trial_id": trial["trial_id"], "epoch": epoch}])
        log.add("started")
        log.commit()
    return made


def remove(run: Run, *names: str) -> None:
    for name in names:
        run.local_path(*name.split("/")).unlink()


def test_a_whole_run_says_nothing(run: Run) -> None:
    assert vanished(run) == []
    # The last epoch of a trial that still runs may not be there yet.
    remove(run, "epochs/stack-00002.a001.e000004.parquet")
    assert vanished(run) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["epochs/stack-00001.a001.e000002.parquet"], "1 of its rows of `epochs` are gone, of t00001"),
        (["epochs/stack-00001.a001.e000004.parquet"], "1 of its rows of `epochs` are gone, of t00001"),
        (["epochs/stack-00002.a001.e000001.parquet"], "1 of its rows of `epochs` are gone, of t00002"),
        (["trials/stack-00001.a001.parquet"], "t00001 of its `trials` are gone"),
        (["events/events-000000002-000000002.parquet"], "1 of its `events` are gone"),
    ],
)
def test_what_is_gone_is_told_by_whoever_reads(run: Run, names: list[str], told: str) -> None:
    remove(run, *names)
    assert [told in each for each in vanished(run)] == [True]
    for command in (
        lambda: list_summaries(str(run.location.parent)),
        lambda: show(run, None),
        lambda: show(run, "t00000"),
        lambda: sql(run, "select count(*) from epochs"),
    ):
        with pytest.warns(UserWarning, match=told):
            command()


def test_tables_that_are_gone_as_a_whole_are_told(run: Run) -> None:
    trial = {"trial_id": "t00000", "number": 0, "state": "STOPPED", "epochs": 4, "rung": 0}
    commit_trials(run, 0, 2, [{**trial, "p_train_diagnostics": True}])
    for epoch in range(1, 4):
        layer = {"trial_id": "t00000", "epoch": epoch, "layer": "layers.0"}
        commit_layers(run, 0, 1, [layer, {**layer, "layer": "layers.1"}])
    log = EventLog(run)
    log.add("stopped", trial_id="t00000")
    log.commit()
    (told,) = vanished(run)
    assert "its `layers` of 1 epochs of trials are gone" in told
    remove(run, *(f"events/events-{n:09d}-{n:09d}.parquet" for n in (1, 2, 3, 4)))
    assert "the `events` that tell how t00000 were judged are gone" in vanished(run)[0]


def test_a_lost_checkpoint_is_told_of_trials_that_go_on(run: Run) -> None:
    every = {"p_train_checkpoint_every_epochs": 1}
    row = {"trial_id": "t00002", "number": 2, "state": "RUNNING", "stack": 2}
    assert without_state(run) == []
    commit_trials(run, 2, 2, [{**row, **every}])
    (told,) = without_state(run)
    assert "stack 2 has lost its checkpoint, after epoch 4" in told
    manifest = run.local_path("checkpoints", "stack-00002", "epoch-000004", "manifest.json")
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    assert without_state(run) == []
    commit_trials(run, 2, 3, [{**row, "p_train_checkpoint_every_epochs": 0}])
    manifest.unlink()
    assert without_state(run) == []
