"""Rows of `trials`: a configuration comes back from its Parquet row unchanged, column by column."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raydnn.search.algorithms.random import points
from raydnn.space.space import build_space, make_trial
from raydnn.spec.reading.load import load_job
from raydnn.spec.trial import TrialSpec
from raydnn.store.rows import trial_row
from raydnn.store.run import Run
from raydnn.store.tables import PARAMETERS, parameter_column, schema

FULL_SPACE = Path(__file__).parents[2] / "jobs" / "full-space.yaml"
DRAWS = 2000


def test_every_draw_of_the_full_space_comes_back_from_its_parquet_row(run: Run, tmp_path: Path) -> None:
    loaded = load_job(FULL_SPACE, ["search.space.train.batch_size=[16, null]"])
    space = build_space(loaded.job, loaded.positions)
    trials = [make_trial(loaded.job, space.from_unit(next(points(space, 0, k)))) for k in range(DRAWS)]
    rows = [trial_row(run, f"t{k:05}", k, trial, state="PENDING") for k, trial in enumerate(trials)]
    written = pa.Table.from_pylist(rows, schema("trials", run.run_id, run.metric, run.mode))
    pq.write_table(written, tmp_path / "trials.parquet")

    read = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    columns = {column.name for column in PARAMETERS}
    for trial, row in zip(trials, read, strict=True):
        back = TrialSpec.from_json(row["config_json"])
        assert back == trial
        assert (back.config_hash, back.seed) == (row["config_hash"], row["seed"])
        found = {name: value for name, value in row.items() if name in columns and value is not None}
        assert found == {
            parameter_column(path): list(value) if isinstance(value, tuple) else value
            for path, value in back.parameters().items()
        }
