"""The tables are those of the interface; every component's parameter has its column."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raydnn.errors import UsageError
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.data import Digits
from raydnn.spec.trial import TrialSpec
from raydnn.store.rows import trial_row
from raydnn.store.run import Run
from raydnn.store.tables import TABLES, schema, table_named


def test_columns_of_the_interface_are_there_with_their_types() -> None:
    trials = schema("trials", "r", "validation_loss", "min")
    for name, kind in {
        "number": pa.int32(),
        "best_value": pa.float64(),
        "seed": pa.int64(),
        "p_optimizer_name": pa.string(),
        "p_optimizer_lr": pa.float64(),
        "p_optimizer_nesterov": pa.bool_(),
        "p_regularization_dropout": pa.float64(),
        "p_train_batch_size": pa.int64(),
        "p_model_widths": pa.list_(pa.int64()),
        "p_train_early_stopping_patience": pa.int64(),
        "m_best_validation_accuracy": pa.float64(),
        "started_at": pa.timestamp("us", "UTC"),
    }.items():
        assert trials.field(name).type == kind, name
    assert "p_seed" not in trials.names
    epochs = schema("epochs", "r", "validation_loss", "min")
    assert epochs.field("epoch").type == pa.int32()
    assert epochs.field("step").type == pa.int64()
    assert not any(pa.types.is_dictionary(field.type) for field in [*trials, *epochs])
    assert all(name.isidentifier() for name in trials.names)


def test_metadata_says_whose_file_it_is() -> None:
    assert schema("events", "r", "train_loss", "min").metadata == {
        b"raydnn.schema_version": b"1",
        b"raydnn.table": b"events",
        b"raydnn.run_id": b"r",
        b"raydnn.metric": b"train_loss",
        b"raydnn.mode": b"min",
    }


def test_every_column_has_a_meaning() -> None:
    assert all(column.meaning for table in TABLES.values() for column in table.columns)


def test_an_unknown_table_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'trials'"):
        table_named("trial")


def test_a_trial_row_has_the_parameters_and_nothing_unknown(run: Run) -> None:
    spec = TrialSpec.from_training(
        TrialSpec(seed=7, data=Digits(), optimizer=Sgd(lr=0.5)).model_copy(),
    )
    row = trial_row(run, "t00003", 3, spec, state="RUNNING", m_test_loss=0.5)
    assert row["seed"] == 7
    assert (row["p_optimizer_name"], row["p_optimizer_lr"]) == ("sgd", 0.5)
    assert row["p_model_widths"] == [64, 64]
    assert TrialSpec.from_json(row["config_json"]) == spec
    assert set(row) <= set(schema("trials", "r", "m", "min").names)
    with pytest.raises(TypeError, match="colour"):
        trial_row(run, "t00003", 3, spec, colour="red")
    with pytest.raises(TypeError, match="p_optimizer_lr"):
        trial_row(run, "t00003", 3, spec, p_optimizer_lr=1.0)
    with pytest.raises(ValueError, match="allowed: PENDING"):
        trial_row(run, "t00003", 3, spec, state="DONE")
