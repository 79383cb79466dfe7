"""Replay on a small recorded sweep whose outcome is reckoned by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from raydnn.analysis.course import best_at, course
from raydnn.analysis.replay import Recorded, recorded, replay
from raydnn.analysis.replay_plot import plot
from raydnn.errors import UsageError
from raydnn.spec.base import Component
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.job import Job, Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import EventLog, commit_epochs, commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run
from raydnn.training.stack.member import trial_id

NAN = float("nan")
CURVES = {
    0: [0.9, 0.8, 0.7, 0.6],
    1: [0.5, 0.45, 0.44, 0.43],
    2: [0.8, 0.3, 0.2, 0.1],  # the best in the end, a bad start
    3: [0.7, 0.6, 0.55, 0.5],
    4: [0.6, NAN],
}
MakeRun = Callable[..., Run]


def scheduler(name: str, **fields: object) -> Component:
    return components("scheduler")[name].model_validate({"name": name, **fields})


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(
        curves: Mapping[int, Sequence[float]] = CURVES,
        states: Mapping[int, str] | None = None,
        command: str = "sweep",
        mode: str = "min",
        metric: str = "validation_loss",
        repeats: int = 1,
        algorithm: str = "random",
    ) -> Run:
        search = {
            "trials": len(curves),
            "repeats": repeats,
            "algorithm": algorithm,
            "space": {"optimizer.lr": "uniform(0, 1)"},
        }
        job = Job.model_validate({"name": "demo", "data": "digits", "optimizer": "sgd", "search": search})
        resolved = {"metric": metric, "mode": mode, "command": command, "job": job.model_dump(mode="json")}
        run = create_run(str(tmp_path), f"run-{len(list(tmp_path.iterdir()))}", "", resolved)
        spec = TrialSpec.from_training(
            Training.model_validate({"data": "digits", "optimizer": "sgd", "train": {"epochs": 4}})
        )
        ended = {n: "COMPLETED" if curve[-1] == curve[-1] else "DIVERGED" for n, curve in curves.items()}
        ended |= states or {}
        at = datetime(2026, 1, 1, tzinfo=UTC)
        rows = [trial_row(run, trial_id(n), n, spec, state=ended[n], started_at=at) for n in curves]
        commit_trials(run, 0, 1, rows)
        for epoch in range(4):
            there = {n: curve[epoch] for n, curve in curves.items() if len(curve) > epoch}
            values = [
                {"trial_id": trial_id(n), "epoch": epoch + 1, "train_loss": 1.0, "validation_loss": 1.0}
                | {metric: value}
                for n, value in there.items()
            ]
            commit_epochs(run, 0, 1, values)
        return run

    return make


def test_curves_end_where_a_trial_diverged(make_run: MakeRun) -> None:
    sweep = recorded(make_run())
    assert sweep.curves == {**CURVES, 4: [0.6]}
    assert sweep.finished == {0, 1, 2, 3}
    assert sweep.max_epochs == 4


def test_seeds_are_replayed_as_one_by_their_mean(make_run: MakeRun) -> None:
    curves = {0: [0.8, 0.6], 1: [0.4, 0.2], 2: [0.5, NAN], 3: [0.7, 0.1]}
    sweep = recorded(make_run(curves, repeats=2))
    assert {number: pytest.approx(curve) for number, curve in sweep.curves.items()} == {
        0: [0.6, 0.4],
        2: [0.6, 0.1],
    }
    assert sweep.finished == {0}


def test_epochs_are_those_of_all_seeds(make_run: MakeRun) -> None:
    curves = {0: [0.4, 0.3, 0.2], 1: [0.2, 0.2, 0.1], 2: [0.5, NAN], 3: [0.7, 0.1, 0.3]}
    sweep = recorded(make_run(curves, repeats=2))
    assert replay(sweep, scheduler("none")).epochs == 3 + 3 + 2 + 3
    # After epoch 1 the second configuration has 0.6, worse than the first one's 0.3.
    found = replay(sweep, scheduler("asha", eta=2))
    assert (found.stopped_at, found.epochs) == ({2: 1}, 3 + 3 + 1 + 1)
    assert found.saved == pytest.approx(3 / 11)


def test_without_a_scheduler_the_best_is_picked(make_run: MakeRun) -> None:
    found = replay(recorded(make_run()), scheduler("none"))
    # Trial 4 was trained in the epoch in which it diverged, too.
    assert (found.epochs, found.saved, found.picked, found.value) == (18, 0.0, 2, 0.1)
    assert (found.rank, found.regret) == (1, 0.0)


def test_asha_stops_a_late_bloomer_and_regrets_it(make_run: MakeRun) -> None:
    found = replay(recorded(make_run()), scheduler("asha", eta=2))
    # After epoch 1 trial 2 has 0.8, worse than 0.7, the median of 0.9 and 0.5; 0.7 and 0.6 are not worse than
    # 0.8 and 0.75. After epoch 2 0.45 is better than 0.8, and 0.6 than the median 0.625 of both.
    assert found.stopped_at == {2: 1}
    assert found.epochs == 18 - 3
    assert found.saved == pytest.approx(3 / 18)
    assert (found.picked, found.value, found.rank) == (1, 0.43, 2)
    assert found.regret == pytest.approx(0.43 - 0.1)


def test_more_can_be_better(make_run: MakeRun) -> None:
    rising = {number: [1 - value for value in curve] for number, curve in CURVES.items()}
    run = make_run(rising, mode="max", metric="validation_accuracy")
    found = replay(recorded(run), scheduler("asha", eta=2))
    assert found.stopped_at == {2: 1}
    assert found.value == pytest.approx(0.57)
    assert found.regret == pytest.approx(0.33)


def test_a_trial_stopped_before_it_diverges_can_be_picked() -> None:
    sweep = Recorded(
        "validation_loss",
        "min",
        {0: [0.1, 0.2], 1: [0.05], 2: [0.01]},
        frozenset({0, 1}),
        2,
        {0: [2], 1: [1], 2: [1]},
    )
    # the diverged trial 2 comes last to the first epoch, where median has two means to go by
    found = replay(sweep, scheduler("median", min_trials=1))
    assert (found.picked, found.value) == (1, 0.05)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"states": {0: "STOPPED"}}, "1 of its trials, so that their curves are not whole"),
        ({"states": {0: "RUNNING", 1: "PREEMPTED"}}, "2 of its trials have not ended"),
        ({"command": "train"}, "only a sweep can be replayed"),
        ({"algorithm": "pbt"}, "its trials copy one another"),
    ],
)
def test_runs_without_whole_curves_are_refused(
    make_run: MakeRun, given: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        recorded(make_run(**given))


def test_the_plot_is_a_png(make_run: MakeRun, tmp_path: Path) -> None:
    sweep = recorded(make_run())
    replayed = [replay(sweep, scheduler(name)) for name in ("none", "asha")]
    plot(sweep, replayed, tmp_path / "replay.png")
    assert (tmp_path / "replay.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"\.png is needed"):
        plot(sweep, replayed, tmp_path / "replay.pdf")


def test_the_course_tells_states_rungs_and_improvements(make_run: MakeRun) -> None:
    run = make_run()
    events = EventLog(run)
    for number, kind in enumerate(["promoted", "stopped", "promoted"]):
        events.add(kind, trial_id=trial_id(number), epoch=1, bracket=0, rung=0, value=0.5, cutoff=None)
    events.commit()
    found = course(run)
    assert found.states == {"COMPLETED": 4, "DIVERGED": 1}
    assert found.rungs == [{"epoch": 1, "trials": 3, "go_on": 2}]
    assert found.epochs == 18
    values = [each.value for each in found.improvements]
    assert values == sorted(values, reverse=True)
    assert (values[-1], found.improvements[-1].trial_id) == (0.1, "t00002")
    shown = best_at(found.improvements, found.seconds, 5)
    assert len(shown) == 5
    assert shown[-1] == 0.1
