"""The tables of a run as typed column lists: what every file holds, whichever run wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa

from raydnn.errors import UsageError, one_of
from raydnn.spec.catalogue.fields import item_type, leaves, python_type
from raydnn.spec.job import Training
from raydnn.spec.metrics import MODES
from raydnn.store.states import STATES

SCHEMA_VERSION = 1

STRING = pa.string()
BOOL = pa.bool_()
INT32 = pa.int32()
INT64 = pa.int64()
FLOAT64 = pa.float64()
TIMESTAMP = pa.timestamp("us", "UTC")

_ARROW_TYPES: dict[type, Any] = {
    bool: BOOL,
    int: INT64,
    float: FLOAT64,
    str: STRING,
}


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: Any
    meaning: str


def parameter_column(path: str) -> str:
    """The column of a parameter: `optimizer.lr` → `p_optimizer_lr`."""
    return "p_" + path.replace(".", "_")


def _parameter_columns() -> tuple[Column, ...]:
    """One column for each parameter any component has, so that the files of all runs have one schema."""
    columns: dict[str, Column] = {}
    paths: dict[str, str] = {}
    for path, field in leaves(Training):
        if path == "seed":
            continue
        column = Column(parameter_column(path), _arrow_type(field.annotation), field.description or "name")
        known = columns.setdefault(column.name, column)
        if paths.setdefault(column.name, path) != path:
            raise TypeError(f"{path} and {paths[column.name]} would share the column {column.name}")
        if known.type != column.type:
            columns[column.name] = Column(
                column.name, _common_type(column.name, known.type, column.type), known.meaning
            )
    return tuple(columns.values())


def _arrow_type(annotation: Any) -> Any:
    item = item_type(annotation)
    return pa.list_(_ARROW_TYPES[item]) if item else _ARROW_TYPES[python_type(annotation)]


def _common_type(name: str, first: Any, second: Any) -> Any:
    if {first, second} <= {INT64, FLOAT64}:
        return FLOAT64
    raise TypeError(f"{name} is {first} in one component and {second} in another")


PARAMETERS = _parameter_columns()

METRICS = (
    *(Column(f"m_final_{metric}", FLOAT64, f"{metric} of the last epoch") for metric in MODES),
    *(Column(f"m_best_{metric}", FLOAT64, f"best {metric} of all epochs") for metric in MODES),
    Column("m_test_loss", FLOAT64, "loss of the kept weights on the test set"),
    Column("m_test_accuracy", FLOAT64, "accuracy of the kept weights on the test set"),
)

TRIALS = (
    Column("run_id", STRING, "the run"),
    Column("trial_id", STRING, "the trial, t00000 for number 0"),
    Column("number", INT32, "the trial's number, from 0"),
    Column("state", STRING, " ".join(STATES)),
    Column("stop_reason", STRING, "why training ended"),
    Column("metric", STRING, "column of `epochs` that ranks trials"),
    Column("mode", STRING, "direction of the metric that is better: min or max"),
    Column("best_value", FLOAT64, "best value of the metric"),
    Column("best_epoch", INT32, "epoch of the best value"),
    Column("epochs", INT32, "epochs trained"),
    Column("bracket", INT32, "the scheduler's bracket"),
    Column("rung", INT32, "highest rung reached"),
    Column("seed", INT64, "seed of every random draw"),
    Column("config_hash", STRING, "identity of the configuration without its seed"),
    Column(
        "stage",
        STRING,
        "search; or confirm: a further seed of a configuration that was among the best of the search",
    ),
    Column("repeat", INT32, "how many seeds of the configuration come before this one, from 0"),
    Column(
        "mean_value",
        FLOAT64,
        "mean of best_value over the configuration's finished trials of this stage; null until the sweep has ended, "
        "and in a sweep with one seed a configuration",
    ),
    Column("std_value", FLOAT64, "sample standard deviation over the same trials; null for one of them"),
    Column("seeds", INT32, "how many these are"),
    *PARAMETERS,
    Column("config_json", STRING, "the whole configuration"),
    *METRICS,
    Column("started_at", TIMESTAMP, "begin of training"),
    Column("ended_at", TIMESTAMP, "end of training"),
    Column("seconds", FLOAT64, "time in training, in seconds"),
    Column("gpu_seconds", FLOAT64, "GPU time in training, in seconds"),
    Column("parameters", INT64, "trainable parameters of the network"),
    Column("stack", INT32, "the stack it was trained in, from 0"),
    Column(
        "strategy", STRING, "how the stack's members are computed: fused, all at once, in turn, or by shape"
    ),
    Column("workers", INT32, "data-parallel processes"),
    Column("node", STRING, "machine that trained it last"),
    Column("attempts", INT32, "how often its training was started"),
    Column("error_type", STRING, "class of the error that ended it"),
    Column("error", STRING, "message of that error"),
    Column("traceback_path", STRING, "file with its traceback, inside the run"),
    Column("checkpoint", STRING, "its kept weights, inside the run"),
)

EPOCHS = (
    Column("run_id", STRING, "the run"),
    Column("trial_id", STRING, "the trial"),
    Column("epoch", INT32, "the epoch, from 1; it continues over restarts"),
    Column("train_loss", FLOAT64, "mean loss over the training set"),
    Column("train_accuracy", FLOAT64, "accuracy on the training set"),
    Column("validation_loss", FLOAT64, "mean loss over the validation set"),
    Column("validation_accuracy", FLOAT64, "accuracy on the validation set"),
    Column("lr", FLOAT64, "learning rate at the end of the epoch"),
    Column("momentum", FLOAT64, "momentum at the end of the epoch"),
    Column("grad_norm", FLOAT64, "norm of the gradient"),
    Column("seconds", FLOAT64, "time of the epoch, in seconds"),
    Column("examples_per_second", FLOAT64, "training examples a second"),
    Column("step", INT64, "optimizer steps since the beginning of the trial"),
    Column("attempt", INT32, "the start of the stack that computed this row, from 1"),
    Column("committed_at", TIMESTAMP, "when the row was committed"),
)

EVENTS = (
    Column("run_id", STRING, "the run"),
    Column("sequence", INT64, "order of the events, from 1"),
    Column("at", TIMESTAMP, "when it happened"),
    Column("kind", STRING, "started, rung, stopped, promoted, exploited, paused, resumed, failed, retried"),
    Column("trial_id", STRING, "the trial it is about"),
    Column("epoch", INT32, "the epoch it is about"),
    Column("bracket", INT32, "the scheduler's bracket"),
    Column("rung", INT32, "the rung"),
    Column("value", FLOAT64, "the value that was judged"),
    Column("cutoff", FLOAT64, "the value it was judged against"),
    Column("detail", STRING, "further facts, as JSON"),
)

LAYERS = (
    Column("run_id", STRING, "the run"),
    Column("trial_id", STRING, "the trial"),
    Column("epoch", INT32, "the epoch, from 1; it continues over restarts"),
    Column("layer", STRING, "the layer, as its parameters are named: layers.0, layers.0.norm, ..."),
    Column("depth", INT32, "the layer's place on the way from the inputs, from 0"),
    Column("gradient_norm", FLOAT64, "norm of its gradient at the epoch's last step, before clipping"),
    Column("weight_norm", FLOAT64, "norm of its parameters at the end of the epoch"),
    Column(
        "update_ratio",
        FLOAT64,
        "norm of what the epoch's last step changed, divided by the norm of its parameters before; "
        "null where these were 0",
    ),
    Column(
        "dead_fraction",
        FLOAT64,
        "share of its units whose activation is flat, so that no gradient passes, for every probe example; "
        "null for the output layer and for activations without a flat end",
    ),
    Column(
        "saturated_fraction",
        FLOAT64,
        "share of its activations at the flat ends of sigmoid (below 0.01, above 0.99) or tanh (beyond ±0.99), "
        "over probe examples and units; null elsewhere",
    ),
    Column(
        "activation_mean",
        FLOAT64,
        "mean of its activations over probe examples (the first 1,024 training examples, without noise) and units",
    ),
    Column("activation_std", FLOAT64, "standard deviation of its activations over probe examples and units"),
    Column("attempt", INT32, "the start of the stack that computed this row, from 1"),
    Column("committed_at", TIMESTAMP, "when the row was committed"),
)


@dataclass(frozen=True)
class Table:
    """A table: its columns, its key, and the column that tells a newer version of a row from an older one."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    attempt: str | None


TABLES = {
    "trials": Table(TRIALS, ("run_id", "trial_id"), "attempts"),
    "epochs": Table(EPOCHS, ("run_id", "trial_id", "epoch"), "attempt"),
    "events": Table(EVENTS, ("run_id", "sequence"), None),
    "layers": Table(LAYERS, ("run_id", "trial_id", "epoch", "layer"), "attempt"),
}


def table_named(name: str) -> Table:
    """The definition of a table.

    Raises:
        UsageError: There is no such table.
    """
    if name not in TABLES:
        raise UsageError(f"table: '{name}' is unknown; {one_of(name, TABLES)}")
    return TABLES[name]


@cache
def columns_of(table: str) -> Any:
    """The schema of a table's columns, without metadata."""
    return pa.schema([(column.name, column.type) for column in table_named(table).columns])


def empty_table(columns: pa.Schema) -> pa.Table:
    """A table without rows; `Schema.empty_table` would import pandas where it is installed (0.3 s)."""
    return pa.Table.from_batches([], schema=columns)


def schema(table: str, run_id: str, metric: str, mode: str) -> pa.Schema:
    """The schema of a file of one run, with the metadata every file carries."""
    metadata = {
        "raydnn.schema_version": str(SCHEMA_VERSION),
        "raydnn.table": table,
        "raydnn.run_id": run_id,
        "raydnn.metric": metric,
        "raydnn.mode": mode,
    }
    return columns_of(table).with_metadata(metadata)
