"""`raydnn results` on a small store, its numbers compared with the rows that were committed."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.store.commit import commit_epochs, commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import create_run

OLD, NEW = "demo-20260101-000000-aaaa", "demo-20260102-000000-bbbb"
LOSSES = [0.5, 0.125, 0.25, 2.0]


def write_run(storage: Path, run_id: str, losses: list[float]) -> None:
    resolved = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": {"name": "demo"}}
    run = create_run(str(storage), run_id, "name: demo\n", resolved)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = []
    for number, loss in enumerate(losses):
        spec = TrialSpec.model_validate(
            {"data": "digits", "optimizer": {"name": "sgd", "lr": 0.01 * (number + 1)}}
        )
        rows.append(
            trial_row(
                run,
                f"t{number:05d}",
                number,
                TrialSpec.from_training(spec),
                state="COMPLETED",
                best_value=loss,
                best_epoch=1,
                epochs=1,
                started_at=at,
                ended_at=at,
            )
        )
    commit_trials(run, 0, 1, rows)
    epochs = [
        {"trial_id": f"t{number:05d}", "epoch": 1, "validation_loss": loss}
        for number, loss in enumerate(losses)
    ]
    if epochs:
        commit_epochs(run, 0, 1, epochs)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "results"
    write_run(folder, OLD, [9.0])
    write_run(folder, NEW, LOSSES)
    return folder


def test_list_shows_the_newest_run_first(cli, storage: Path) -> None:
    outcome = cli("results", "list", "--storage", str(storage), "-o", "json")
    assert outcome.code == 0
    assert [row["run_id"] for row in json.loads(outcome.out)] == [NEW, OLD]


def test_list_of_an_empty_storage_says_so(cli, tmp_path: Path) -> None:
    outcome = cli("results", "list", "--storage", str(tmp_path), "-o", "json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == []
    assert "no run" in outcome.err


@pytest.mark.parametrize("how", ["id", "latest", "path", "slash", "uri"])
def test_top_ranks_and_shows_what_differs(cli, storage: Path, how: str) -> None:
    path = str(storage / NEW)
    run = {"id": NEW, "latest": "latest", "path": path, "slash": f"{path}/", "uri": f"file://{path}"}[how]
    where = ["--storage", str(storage)] if how in ("id", "latest") else []
    outcome = cli("results", "top", run, "-n", "3", "-o", "json", *where)
    assert outcome.code == 0
    rows = json.loads(outcome.out)
    assert [row["trial_id"] for row in rows] == ["t00001", "t00002", "t00000"]
    assert [row["best_value"] for row in rows] == sorted(LOSSES)[:3]
    assert [row["optimizer_lr"] for row in rows] == pytest.approx([0.02, 0.03, 0.01])
    assert "optimizer_name" not in rows[0]


def test_a_run_folder_can_be_given_from_inside_the_storage(
    cli, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(storage)
    assert cli("results", "top", OLD).code == 0
    monkeypatch.chdir(storage / OLD)
    assert "9" in cli("results", "top", ".").out


def test_the_formats_agree(cli, storage: Path) -> None:
    where = ("--storage", str(storage))
    as_json = json.loads(cli("results", "top", "latest", "-o", "json", *where).out)
    as_csv = list(csv.DictReader(io.StringIO(cli("results", "top", "latest", "-o", "csv", *where).out)))
    table = cli("results", "top", "latest", *where).out.splitlines()
    assert [row["trial_id"] for row in as_csv] == [row["trial_id"] for row in as_json]
    assert len(table) == len(as_json) + 2
    assert table[0].split() == list(as_json[0])


def test_top_without_finished_trials_says_so(cli, tmp_path: Path) -> None:
    write_run(tmp_path, NEW, [])
    outcome = cli("results", "top", NEW, "--storage", str(tmp_path))
    assert outcome.code == 0
    assert "no trial" in outcome.err


def test_show_a_run_and_a_trial(cli, storage: Path) -> None:
    where = ("--storage", str(storage))
    assert json.loads(cli("results", "show", "latest", "-o", "json", *where).out)["command"] == "sweep"
    trial = cli("results", "show", NEW, "t00001", *where)
    assert trial.code == 0
    assert "0.125" in trial.out
    assert "parameters.optimizer_lr" in trial.out


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["top", NEW[:-1] + "c"], NEW),
        (["show", NEW, "t0001"], "t00001"),
        (["sql", NEW[:-1] + "c", "select 1"], NEW),
    ],
)
def test_unknown_ids_are_exit_3_with_the_nearest(
    cli, storage: Path, arguments: list[str], nearest: str
) -> None:
    outcome = cli("results", *arguments, "--storage", str(storage))
    assert outcome.code == 3
    assert nearest in outcome.err
    assert outcome.err.count("\n") == 1


def test_latest_of_a_storage_that_is_not_there_is_exit_3(cli, tmp_path: Path) -> None:
    outcome = cli("results", "top", "latest", "--storage", str(tmp_path / "none"))
    assert outcome.code == 3
    assert not (tmp_path / "none").exists()


def test_sql_over_a_run_and_over_all(cli, storage: Path) -> None:
    where = ("--storage", str(storage), "-o", "json")
    best = cli(
        "results", "sql", "latest", "select min(best_value) as best, count(*) as n from trials", *where
    )
    assert json.loads(best.out) == [{"best": 0.125, "n": 4}]
    runs = cli("results", "sql", "-", "select run_id, count(*) n from epochs group by 1 order by 1", *where)
    assert json.loads(runs.out) == [{"run_id": OLD, "n": 1}, {"run_id": NEW, "n": 4}]


def test_a_bad_query_is_exit_2_on_one_line(cli, storage: Path) -> None:
    outcome = cli("results", "sql", NEW, "select nonsense from trials", "--storage", str(storage))
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "nonsense" in outcome.err


def test_top_is_quick_and_needs_neither_torch_nor_ray(is_quick: Any, storage: Path) -> None:
    code = (
        "import sys\n"
        "from raydnn.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    assert not {'torch', 'ray', 'sklearn', 'pandas'} & set(sys.modules), 'heavy'\n"
    )
    command = [sys.executable, "-c", code, "results", "top", NEW, "--storage", str(storage)]
    libraries = "click, numpy, pydantic, pyarrow.compute, pyarrow.fs, pyarrow.parquet"
    assert is_quick(command, 1.0, libraries, 2.5)


def test_replay_compares_schedulers(cli, tmp_path: Path) -> None:
    search = {"trials": 4, "space": {"optimizer.lr": "uniform(0, 1)"}}
    job = {"name": "demo", "data": "digits", "optimizer": "sgd", "search": search}
    resolved = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": job}
    run = create_run(str(tmp_path), NEW, "", resolved)
    spec = TrialSpec.from_training(
        TrialSpec.model_validate({"data": "digits", "optimizer": "sgd", "train": {"epochs": 3}})
    )
    commit_trials(run, 0, 1, [trial_row(run, f"t{n:05d}", n, spec, state="COMPLETED") for n in range(4)])
    for epoch in (1, 2, 3):
        rows = [
            {"trial_id": f"t{n:05d}", "epoch": epoch, "train_loss": 1.0, "validation_loss": loss / epoch}
            for n, loss in enumerate(LOSSES)
        ]
        commit_epochs(run, 0, 1, rows)
    place = str(tmp_path / NEW)
    outcome = cli("results", "replay", place, "-o", "json", "--plot", str(tmp_path / "replay.png"))
    assert outcome.code == 0, outcome.err
    rows = {row["scheduler"]: row for row in json.loads(outcome.out)}
    assert list(rows) == ["none", "asha", "hyperband", "median"]
    assert (rows["none"]["epochs"], rows["none"]["regret"], rows["none"]["picked"]) == (12, 0, "t00001")
    # 0.25 is worse than all but the best third of 0.5 and 0.125; 2.0 is, too
    assert (rows["asha"]["stopped_at"], rows["asha"]["epochs"]) == ("2 at 1", 8)
    assert (tmp_path / "replay.png").is_file()
    later = cli("results", "replay", place, "--scheduler", "asha", "--min-epochs", "2", "-o", "json")
    assert json.loads(later.out)[0]["stopped_at"] == "2 at 2"
    for arguments, told in [
        (["--scheduler", "none", "--eta", "2"], "none has no eta"),
        (["--min-epochs", "4"], "the trials had 3 epochs"),
        (["--eta", "1"], "--eta"),
        (["--plot", str(tmp_path / "replay.pdf")], ".png"),
    ]:
        outcome = cli("results", "replay", place, *arguments)
        assert outcome.code == 2
        assert told in outcome.err


def test_failures_and_exports_are_commands(cli, storage: Path, tmp_path: Path) -> None:
    outcome = cli("results", "failures", NEW, "--storage", str(storage), "-o", "json")
    assert (outcome.code, json.loads(outcome.out)) == (0, [])
    assert "no trial of" in outcome.err
    outcome = cli("results", "export", NEW, "--to", "csv", "--out", str(tmp_path), "--storage", str(storage))
    assert outcome.code == 0
    assert str(tmp_path / "trials.csv") in outcome.out.splitlines()
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [float(row["best_value"]) for row in rows] == LOSSES


def test_best_prints_a_job_that_trains_the_trial_again(cli, storage: Path, tmp_path: Path) -> None:
    for run, number in ((NEW, 1), (f"{NEW}:t00003", 3)):
        outcome = cli("results", "best", run, "--storage", str(storage))
        assert outcome.code == 0
        (tmp_path / "job.yaml").write_text(outcome.out)
        assert trial_of_job(load_job(tmp_path / "job.yaml").job).optimizer.lr == 0.01 * (number + 1)


def test_compare_says_which_is_better_or_that_nothing_is_shared(cli, storage: Path, tmp_path: Path) -> None:
    write_run(tmp_path, OLD, [loss + 1 for loss in LOSSES])
    write_run(tmp_path, NEW, LOSSES)
    outcome = cli("results", "compare", OLD, NEW, "--storage", str(tmp_path), "-o", "json")
    found = json.loads(outcome.out)
    assert list(found) == ["better", "difference", "low", "high", "pairs"]
    assert (found["better"], found["difference"], found["pairs"]) == (NEW, -1.0, 4)
    outcome = cli("results", "compare", NEW, NEW, "--storage", str(storage))
    assert outcome.code == 2
