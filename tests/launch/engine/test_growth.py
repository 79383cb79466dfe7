"""A toy engine, an addition behind its seam: it trains a sweep's stacks one after another, in the thread that asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from raydnn.errors import ClusterError
from raydnn.launch.engine.engine import Dispatcher, Engine
from raydnn.launch.engine.in_process import InProcess
from raydnn.launch.runs.runs import begin, driving
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.tuning.sweep import sweep_run
from raydnn.launch.worker.stack_training import StackTask, train_stack
from raydnn.search.algorithms.registry import generations
from raydnn.search.packing import StackPlan
from raydnn.space.space import build_space
from raydnn.spec.data import DataSet
from raydnn.spec.reading.load import load_job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.resources import Resources
from raydnn.spec.trial import TrialSpec, trial_of_job
from raydnn.store.read import read
from raydnn.store.run import Run


class InTurn:
    """One stack after another; what a stack asks is answered before it goes on, or it gives way."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.trained: list[int] = []

    def put(self, key: str, value: bytes) -> None:
        self.kept[key] = value

    def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def remove(self, prefix: str) -> None:
        for key in [key for key in self.kept if key.startswith(prefix)]:
            del self.kept[key]

    def check(self, resources: Resources) -> None:
        if resources.workers > 1:
            raise ClusterError("one worker is allowed")

    def ahead(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def running(self, run: Run, data: Iterable[DataSet], cpus: int) -> Iterator[None]:
        self.kept.clear()
        yield

    def nodes(self) -> Sequence[Mapping[str, float]]:
        return [{"CPU": 1.0}]

    def values(self) -> InTurn:
        return self

    def train_stacks(self, run: Run, task: StackTask, dispatcher: Dispatcher) -> None:
        while (number := dispatcher.next()) is not None:
            dispatcher.started(number)
            self.trained.append(number)
            train_stack(number, task, self, dispatcher.report)
            dispatcher.left(number)
            dispatcher.idle()

    def train(self, run: Run, trial: TrialSpec, resources: Resources) -> None:
        InProcess(1).train(run, trial, resources)


def _job(storage: Path, scheduler: dict[str, Any]) -> Any:
    fields = {
        "name": "toy",
        "data": {"name": "digits", "validation": 1600, "scaling": "unit"},
        "model": {"widths": [8]},
        "optimizer": "sgd",
        "train": {"epochs": 4, "batch_size": 64},
        "storage": str(storage),
        "search": {
            "algorithm": "random",
            "scheduler": scheduler,
            "trials": 9,
            "stack": 4,
            "space": {"optimizer.lr": "loguniform(1e-3, 1)", "activation": ["relu", "tanh"]},
        },
    }
    return load_job(fields).job.as_sweep()


def _swept(engine: Engine, storage: Path, scheduler: dict[str, Any]) -> tuple[Any, Any, Any]:
    """How the trials ended, what was measured, and what was decided."""
    job = _job(storage, scheduler)
    space = build_space(job, Positions({}))
    stacks = Stacks(generations(space, job), job.search.stack)
    run = begin(job, "", "run", "sweep", stacks.plans, space.tree(), stacks.expected)
    with driving(run, stacks.plans):
        sweep_run(run, [job], stacks, None, engine)
    trials = read(run.location, "trials").select(["trial_id", "state", "epochs", "best_value"]).to_pylist()
    epochs = read(run.location, "epochs").select(["trial_id", "epoch", "train_loss"]).to_pylist()
    events = read(run.location, "events").select(["kind", "trial_id", "epoch", "value"]).to_pylist()
    decided = [row for row in events if row["kind"] in ("stopped", "promoted")]
    return trials, epochs, sorted(decided, key=lambda row: (row["epoch"], row["trial_id"]))


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "none"},
        {"name": "asha", "min_epochs": 1, "max_epochs": 4, "eta": 2},
        {"name": "hyperband", "max_epochs": 4, "eta": 2},
    ],
    ids=lambda scheduler: scheduler["name"],
)
def test_a_sweep_on_a_new_engine_is_the_sweep_it_is_on_another(
    scheduler: dict[str, Any], tmp_path: Path
) -> None:
    engine = InTurn()
    found = _swept(engine, tmp_path / "toy", scheduler)
    assert found == _swept(InProcess(1), tmp_path / "other", scheduler)
    trials, _, decided = found
    assert len(trials) == 9
    assert bool(decided) == (scheduler["name"] != "none")
    assert set(engine.trained) == set(range(max(engine.trained) + 1))


def test_a_training_in_this_process_starts_no_ray(tmp_path: Path) -> None:
    job = _job(tmp_path, {"name": "none"}).model_copy(update={"search": None})
    trial = trial_of_job(job)
    plans = [StackPlan(0, ((0, trial),))]
    run = begin(job, "", "one", "train", plans)
    with driving(run, plans):
        InProcess(1).train(run, trial, job.resources)
    (row,) = read(run.location, "trials").to_pylist()
    assert (row["state"], row["epochs"]) == ("COMPLETED", 4)
    with pytest.raises(ClusterError, match=r"resources\.workers: 2, but in this process"):
        InProcess(2).check(job.resources.model_copy(update={"workers": 2}))
