"""Rankings, summaries and SQL agree with a small run worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raydnn.analysis.sql import sql
from raydnn.analysis.tables import list_summaries, show, top
from raydnn.errors import NotFoundError, UsageError
from raydnn.spec.axes.optimizer import Adam, Optimizer, Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_epochs, commit_layers, commit_trials
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TRIALS: list[tuple[Optimizer, dict[str, Any]]] = [
    (Sgd(lr=0.1), {"state": "COMPLETED", "best_value": 0.8, "best_epoch": 2, "epochs": 2, "ended_at": NOON}),
    (Sgd(lr=0.2), {"state": "STOPPED", "best_value": 0.9, "best_epoch": 1, "epochs": 1}),
    (Sgd(lr=0.3), {"state": "DIVERGED", "best_value": 0.95, "epochs": 1}),
    (Adam(lr=0.1), {"state": "COMPLETED", "best_value": math.nan, "epochs": 1}),
    (Adam(lr=0.1), {"state": "COMPLETED", "best_value": 0.9, "epochs": 2, "started_at": NOON}),
    (Adam(lr=0.2), {"state": "FAILED", "error": "boom"}),
]


@pytest.fixture
def storage(tmp_path: Any) -> str:
    return str(tmp_path / "results")


@pytest.fixture
def run(storage: str) -> Run:
    resolved = {"metric": "validation_accuracy", "mode": "max", "command": "sweep", "job": {"name": "x"}}
    run = create_run(storage, "sweep-20260101-120000-abcd", "", resolved)
    rows = [
        trial_row(run, f"t{n:05d}", n, TrialSpec(data=Digits(), optimizer=optimizer), **state)
        for n, (optimizer, state) in enumerate(TRIALS)
    ]
    commit_trials(run, 0, 1, rows)
    commit_epochs(run, 0, 1, [{"trial_id": "t00000", "epoch": e, "train_loss": 1 / e} for e in (1, 2)])
    commit_epochs(run, 0, 2, [{"trial_id": "t00000", "epoch": 2, "train_loss": 0.25}])
    return run


def test_top_ranks_finished_trials_and_shows_what_differs(run: Run) -> None:
    table = top(run, 10)
    assert table["trial_id"].to_pylist() == ["t00001", "t00004", "t00000"]
    assert table["rank"].to_pylist() == [1, 2, 3]
    assert table.column_names[:6] == ["rank", "trial_id", "state", "best_value", "best_epoch", "epochs"]
    assert set(table.column_names[6:]) == {"optimizer_name", "optimizer_lr"}
    assert top(run, 1).num_rows == 1


def test_top_of_a_run_without_trials_is_empty(storage: str) -> None:
    empty = create_run(storage, "e", "", {"metric": "train_loss", "mode": "min"})
    assert top(empty, 3).num_rows == 0


def test_lower_is_better_where_the_run_says_so(run: Run) -> None:
    lower = Run(run.location, run.run_id, "validation_loss", "min")
    assert top(lower, 1)["trial_id"].to_pylist() == ["t00000"]


def test_runs_are_counted(run: Run, storage: str) -> None:
    create_run(
        storage, "a-20250101-120000-abcd", "", {"metric": "train_loss", "mode": "min", "command": "train"}
    )
    new, old = list_summaries(storage)
    assert (new["run_id"], new["command"], old["command"]) == (run.run_id, "sweep", "train")
    assert (new["trials"], new["completed"], new["stopped"], new["diverged"], new["failed"]) == (
        6,
        3,
        1,
        1,
        1,
    )
    assert (new["best_trial_id"], new["best_value"], new["epochs"]) == ("t00001", 0.9, 7)
    assert new["started_at"] == new["ended_at"] == NOON
    assert (old["trials"], old["best_value"], old["started_at"]) == (0, None, None)


def test_a_damaged_run_does_not_hide_the_others(run: Run, storage: str) -> None:
    bad = create_run(storage, "bad", "", {"metric": "train_loss", "mode": "min", "command": "train"})
    bad.local_path("resolved.json").write_text("{")
    with pytest.warns(UserWarning, match=r"bad/resolved\.json is damaged"):
        assert [row["run_id"] for row in list_summaries(storage)] == [run.run_id]


def test_show_tells_of_a_trial_and_of_a_run(run: Run) -> None:
    trial = show(run, "t00000")
    assert trial["parameters"]["optimizer_lr"] == 0.1
    assert "optimizer_beta1" not in trial["parameters"]
    assert [epoch["train_loss"] for epoch in trial["epochs_table"]] == [1.0, 0.25]
    assert show(run, None)["resolved"]["job"] == {"name": "x"}
    with pytest.raises(NotFoundError, match=r"t00000 to t00005\. Did you mean 't00001'"):
        show(run, "t0001")


def test_sql_sees_every_key_once(run: Run, storage: str) -> None:
    query = "select count(*) as n, sum(train_loss) as s from epochs join trials using (trial_id)"
    assert sql(run, query).to_pylist() == [{"n": 2, "s": 1.25}]
    assert sql(storage, "select count(*) n from events").to_pylist() == [{"n": 0}]
    (row,) = sql(storage, "select max(started_at) + interval 1 hour as t from trials").to_pylist()
    assert row["t"] == NOON + timedelta(hours=1)
    assert sql(run, "show tables")["name"].to_pylist() == ["epochs", "events", "layers", "trials"]


@pytest.mark.parametrize(
    "query", ["selec 1", "select * from trial", "select nothing from trials", "select 1/'x'"]
)
def test_a_bad_query_is_one_readable_line(run: Run, query: str) -> None:
    rows = [1]  # a variable a query must not see
    with pytest.raises(UsageError, match=r"^query: .*Error.*") as caught:
        sql(run, query)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        sql(run, "select * from rows")
    assert rows == [1]


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1) to '{}/new.csv'",
        "select 1; copy trials to '{}/new.parquet' (format parquet)",
        "explain analyze copy (select 1) to '{}/new.csv'",
        "copy trials from '{}/secret.csv'",
        "select * from read_csv('{}/secret.csv')",
        "select * from read_text('{}/secret.csv')",
        "from '{}/secret.csv'",
        "from glob('{}/*')",
        "select * from query('from read_csv(''{}/secret.csv'')')",
        "attach '{}/new.db'",
        "export database '{}/new'",
        "set temp_directory = '{}/new'",
        "set enable_external_access = true; from '{}/secret.csv'",
        "call enable_logging(storage = 'file', storage_path = '{}/new')",
        "pragma enable_profiling",
        "install httpfs",
        "load httpfs",
        "insert into trials select * from trials",
        "create table t as select 1",
        "drop view trials",
        "",
        "-- nothing",
    ],
)
def test_a_query_reads_the_tables_and_touches_nothing_else(run: Run, tmp_path: Path, query: str) -> None:
    (tmp_path / "secret.csv").write_text("word\nmellon\n")
    with pytest.raises(UsageError, match=r"^query: ") as caught:
        sql(run, query.format(*[tmp_path] * query.count("{}")))
    assert "\n" not in str(caught.value)
    assert "mellon" not in str(caught.value)
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize(
    "query",
    [
        "select 1; select count(*) from trials",
        "with x as (select 1) from x",
        "describe trials",
        "summarize trials",
        "pivot trials on state using count(*)",
        "explain select * from trials",
        "values (1)",
    ],
)
def test_what_only_reads_is_answered(run: Run, query: str) -> None:
    assert sql(run, query).num_rows > 0


def test_files_are_read_and_written_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    sql(run, f"copy (select count(*) as n from trials) to '{tmp_path}/new.csv'", files=True)
    assert (tmp_path / "new.csv").read_text().split() == ["n", "6"]
    assert sql(run, f"from '{tmp_path}/new.csv'", files=True).to_pylist() == [{"n": 6}]


def test_reading_needs_neither_torch_nor_ray(run: Run, storage: str) -> None:
    code = (
        "import sys, raydnn.analysis.tables as t\n"
        "from raydnn.store.runs import open_run\n"
        f"assert t.top(open_run({storage!r}, {run.run_id!r}), 9).num_rows == 3\n"
        "assert 'pandas' not in sys.modules\n"
        "import raydnn.analysis.sql\n"
        f"t.list_summaries({storage!r})\n"
        "assert not {'torch', 'ray', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_trial_shows_its_layers_of_the_last_epoch_in_their_order(run: Run) -> None:
    assert show(run, "t00000")["layers_table"] == []
    for epoch in (1, 2):
        rows = [
            {"trial_id": f"t{n:05d}", "epoch": epoch, "layer": f"layers.{depth}", "depth": depth}
            for n in (0, 1)
            for depth in (0, 2, 10)
        ]
        commit_layers(run, 0, epoch, [{**row, "gradient_norm": epoch / 4} for row in rows])
    shown = show(run, "t00000")["layers_table"]
    assert [row["layer"] for row in shown] == ["layers.0", "layers.2", "layers.10"]
    assert all((row["epoch"], row["gradient_norm"]) == (2, 0.5) for row in shown)
    assert "trial_id" not in shown[0]
    query = "select layer, avg(gradient_norm) g from layers group by layer, depth order by depth"
    assert sql(run, query).to_pylist() == [{"layer": f"layers.{d}", "g": 0.375} for d in (0, 2, 10)]


def test_import_of_the_package_alone_is_light() -> None:
    code = (
        "import sys, raydnn\n"
        "assert not {'pyarrow', 'pydantic', 'duckdb'} & set(sys.modules)\n"
        "assert raydnn.__version__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
