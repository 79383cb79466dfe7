"""The comparison jobs give the textbook's orderings, on fewer seeds and epochs, read by the query they show."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.analysis.sql import sql
from raydnn.search.packing import pack
from raydnn.space.space import build_space, make_trial
from raydnn.spec.reading.load import load_job
from raydnn.store.run import Run
from raydnn.training.session import run_stack
from raydnn.training.workers import Workers

JOBS = Path(__file__).parents[3] / "jobs"
QUERY = re.compile(r'raydnn results sql latest "(.*?)"\n', re.DOTALL)

Table = dict[Any, dict[str, Any]]


@pytest.fixture
def compare(new_run: Callable[..., Run]) -> Callable[..., Table]:
    """Train a job's grid and ask its query; rows by the values of the columns `by`."""

    def answer(name: str, by: str, *overrides: str) -> Table:
        loaded = load_job(JOBS / f"{name}.yaml", overrides)
        trials = [
            make_trial(loaded.job, chosen) for chosen in build_space(loaded.job, loaded.positions).grid()
        ]
        run = new_run(name, "validation_accuracy", "max")
        for plan in pack(trials, 32):
            run_stack(
                run,
                plan,
                scheduler="none",
                judge=lambda _e, _m: {},
                workers=Workers(),
                device=torch.device("cpu"),
            )
        (query,) = QUERY.findall(loaded.text)
        rows = sql(run, query.replace("\n#", "\n").replace("epoch = 20", f"epoch = {trials[0].train.epochs}"))
        keys = by.split()
        return {
            tuple(row[key] for key in keys) if len(keys) > 1 else row[by]: row for row in rows.to_pylist()
        }

    return answer


def test_initialization(compare: Callable[..., Table]) -> None:
    """Without the right variance nothing gets through ten layers; Glorot with tanh and He with ReLU learn."""
    by = "p_activation_name p_init_name"
    found = compare("initialization", by, "search.space.seed=[0]", "train.epochs=4")
    assert len(found) == 9
    for key in (("tanh", "glorot_normal"), ("relu", "he_normal")):
        assert found[key]["accuracy"] > 0.7
        assert 0.1 < found[key]["first_gradient"] < 10
    stalled = [key for key in found if key[1] == "normal" or key[0] == "sigmoid"]
    assert len(stalled) == 5
    for key in stalled:
        assert found[key]["accuracy"] < 0.2
        assert found[key]["first_gradient"] < 1e-3
    assert all(found[name, "normal"]["first_gradient"] < 1e-9 for name in ("sigmoid", "tanh", "relu"))


def test_activations(compare: Callable[..., Table]) -> None:
    """In a deep network sigmoid stands still while every other one learns; ELU and SELU are ahead of ReLU."""
    found = compare("activations", "p_activation_name", "search.space.seed=[0]", "train.epochs=3")
    assert len(found) == 10
    sigmoid = found.pop("sigmoid")
    assert sigmoid["loss_3"] > 2.2
    assert sigmoid["accuracy_3"] < 0.2
    assert all(row["loss_3"] < 1.0 and row["accuracy_3"] > 0.7 for row in found.values())
    assert all(row["gradient"] > 50 * sigmoid["gradient"] for row in found.values())
    assert max(found[name]["loss_3"] for name in ("elu", "selu")) < 0.75 * found["relu"]["loss_3"]
    assert abs(found["selu"]["mean"]) < 0.1
    assert 0.9 < found["selu"]["std"] < 1.1


def test_optimizers(compare: Callable[..., Table]) -> None:
    """At a small rate the adaptive ones are far ahead, momentum is ahead of plain SGD, Nesterov's slightly more."""
    by = "p_optimizer_name momentum nesterov"
    found = compare("optimizers", by, "search.space.seed=[0]", "train.epochs=3")
    loss = {key: row["loss_3"] for key, row in found.items()}
    plain, heavy, nesterov = (loss["sgd", m, n] for m, n in ((0.0, False), (0.9, False), (0.9, True)))
    assert loss["sgd", 0.0, True] == plain
    assert heavy < 0.8 * plain
    assert nesterov < heavy
    adaptive = [loss[name, momentum, None] for name, momentum in (("rmsprop", 0.0), ("adam", None))]
    adaptive += [loss[name, None, None] for name in ("nadam", "adamw", "adamax")]
    assert max(adaptive) < 0.6 * heavy


def test_schedules(compare: Callable[..., Table]) -> None:
    """From a high rate every schedule that ends low ends with a lower training loss than a constant one."""
    names = "[constant, exponential, piecewise, polynomial, cosine, one_cycle]"
    chosen = (f"search.space.schedule={names}", "search.space.seed=[0, 1]")
    found = compare("schedules", "p_schedule_name", *chosen)
    constant = found.pop("constant")
    assert all(row["train_loss"] < 0.7 * constant["train_loss"] for row in found.values())
    # Its last five epochs are its only low ones, so that its lead in validation is too small to be seen.
    found.pop("piecewise")
    assert all(row["accuracy"] > constant["accuracy"] for row in found.values())
    assert found["one_cycle"]["validation_loss"] < 0.8 * constant["validation_loss"]
