"""How soon each search finds what random search finds, and which one finds the better, on real training.

Epochs needed: random search without a scheduler trains its trials for 27 epochs each. The epochs that it trains in all
are its budget, the best value that it measures in them is the goal. ASHA, Hyperband, and TPE with ASHA search the same
space with the same seed, in as many trials as come to that budget if every rung keeps one in eta. Their epochs are
counted in the order in which they are committed, a stack's epoch at once, until the goal is reached. A search ends when
it has spent that budget; one that has not reached the goal by then, or with fewer epochs, counts with the whole budget.
The share of random's budget is averaged over the seeds.

Equal budget: TPE and GP against random search in ten ranges of one architecture, every trial trained to its end; in
how many seeds their best value is the better one.

What is searched, the numbers of trials and of epochs were fixed before anything was measured; all else is as it is by
default. Every sweep runs on one slot, so that what is found does not depend on time; seeds run side by side.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isfinite
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from measuring import ROOT, Comparison
from one_slot import Enough, sweep

from raydnn.data.load import load_dataset
from raydnn.spec.reading.load import load_job
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.runs import open_run
from raydnn.training.stack.member import Member

T = TypeVar("T")
ASHA = "search.scheduler={name: asha, eta: 3}"
HYPERBAND = "search.scheduler={name: hyperband, eta: 3}"
EXAMPLES = 500
"""Examples of Fashion-MNIST to train on, and as many to validate on."""
TEN_RANGES = {
    "optimizer.lr": "loguniform(1e-4, 1e-2)",
    "optimizer.beta1": "one_minus(loguniform(0.02, 0.5))",
    "optimizer.beta2": "one_minus(loguniform(1e-4, 0.1))",
    "optimizer.weight_decay": "loguniform(5e-3, 1)",
    "schedule.alpha": "uniform(0, 0.1)",
    "schedule.warmup_epochs": "uniform(0, 4)",
    "regularization.dropout": "uniform(0, 0.5)",
    "regularization.input_dropout": "uniform(0, 0.3)",
    "regularization.l1": "loguniform(1e-7, 1e-2)",
    "regularization.l2": "loguniform(1e-7, 1e-2)",
}
"""All but the warm-up's are the ranges that the components declare."""


@dataclass(frozen=True)
class Course:
    """A space in which searches race against random search."""

    key: str
    what: str
    job: Path
    overrides: tuple[str, ...]
    trials: int
    """Of random search."""
    epochs: int = 27

    @property
    def searches(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Key → name and overrides: trials that come to random's budget, of 3 and of 375/49 epochs each."""
        asha, hyperband = self.trials * self.epochs // 3, -(-self.trials * self.epochs * 49 // 375)
        return {
            "asha": ("ASHA", (f"search.trials={asha}", ASHA)),
            "hyperband": ("Hyperband", (f"search.trials={hyperband}", HYPERBAND)),
            "tpe-asha": ("TPE with ASHA", (f"search.trials={asha}", ASHA, "search.algorithm=tpe")),
        }


DIGITS = Course(
    "digits", "digits, space of jobs/digits-asha.yaml", ROOT / "jobs" / "digits-asha.yaml", (), 81
)
FULL_SPACE = ROOT / "jobs" / "full-space.yaml"
FASHION = Course("fashion", "Fashion-MNIST, space of jobs/full-space.yaml", FULL_SPACE, (), 27)
FIXED = (
    *(
        "optimizer=adamw",
        "schedule=cosine",
        "model.widths=[32]",
        "train={epochs: 9, batch_size: 64, early_stopping: null}",
    ),
    f"search={json.dumps({'trials': 64, 'space': TEN_RANGES})}",
)
LEARNING = {"tpe": "TPE", "gp": "GP"}


def measure_race(
    repeats: int, data: Path | None, course: Course, processes: int = os.cpu_count() or 1
) -> list[Comparison]:
    """Compare the epochs that searches need with random search's.

    Args:
        repeats: Seeds.
        data: Folder with Fashion-MNIST's IDX files; None: it is left out.
        course: What is searched.
        processes: Seeds at a time.
    """
    if course.key == "fashion" and data is None:
        return [_row(course, key, (), "no data; give --data") for key in course.searches]
    raced = _each(repeats, processes, partial(race, course=course, data=data))
    return [_row(course, key, raced) for key in course.searches]


def measure_best(
    repeats: int, data: Path | None, fixed: Sequence[str] = FIXED, processes: int = os.cpu_count() or 1
) -> list[Comparison]:
    """Compare the best values that searches find with random search's.

    Args:
        repeats: Seeds.
        data: Not used.
        fixed: The job, as overrides.
        processes: Seeds at a time.
    """
    best = _each(repeats, processes, partial(best_values, fixed=fixed))
    return [
        Comparison(
            f"search-best/ten-ranges/{key}",
            f"{name}: best validation loss; digits, ten ranges of one architecture, 64 trials x 9 epochs",
            "random search, as many",
            "loss",
            tuple(values[key] for values in best),
            tuple(values["random"] for values in best),
            of="wins",
        )
        for key, name in LEARNING.items()
    ]


def race(seed: int, course: Course, data: Path | None) -> dict[str, dict[str, Any]]:
    """Search name → `epochs` needed and whether the goal was `reached`; of `random` its budget and best value."""
    with tempfile.TemporaryDirectory() as name:
        options = [*course.overrides, f"seed={seed}", f"storage={name}", "train.checkpoint_every_epochs=0"]
        if course.key == "fashion":
            assert data is not None
            options.append(_few_examples(data, Path(name)))
        plain = (f"search.trials={course.trials}", f"train.epochs={course.epochs}", "search.scheduler=none")
        run = sweep(course.job, [*options, *plain], "random")
        goal = best_value(run)
        found: dict[str, dict[str, Any]] = {"random": {"epochs": _epochs(run), "best": goal}}
        for key, (_, overrides) in course.searches.items():
            reached = False
            trained: dict[int, int] = {}

            def see(members: Sequence[Member], run: Run = run, trained: dict[int, int] = trained) -> None:
                nonlocal reached
                values = [member.history[run.metric][-1] for member in members]
                reached = any(value <= goal if run.mode == "min" else value >= goal for value in values)
                # Told twice of an epoch after which a stack gave way, it counts it once.
                trained.update((member.number, member.epochs) for member in members)
                if reached or sum(trained.values()) >= found["random"]["epochs"]:
                    raise Enough

            with suppress(Enough):
                sweep(course.job, [*options, plain[1], *overrides], key, see)
            spent = _epochs(open_run(name, key))
            needed = spent if reached else max(spent, found["random"]["epochs"])
            found[key] = {"epochs": needed, "spent": spent, "reached": reached}
    return found


def best_values(seed: int, fixed: Sequence[str]) -> dict[str, float]:
    """Search name → the best value that it finds in the ten ranges."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        options = [*fixed, f"seed={seed}", f"storage={name}", "train.checkpoint_every_epochs=0"]
        for key in ("random", *LEARNING):
            found[key] = best_value(
                sweep(ROOT / "jobs" / "digits.yaml", [*options, f"search.algorithm={key}"], key)
            )
    return found


def best_value(run: Run) -> float:
    """The best finite value of a run's metric after any epoch of any trial."""
    values = [value for value in read(run.location, "epochs")[run.metric].to_pylist() if isfinite(value)]
    return min(values) if run.mode == "min" else max(values)


def _epochs(run: Run) -> int:
    return int(read(run.location, "epochs").num_rows)


def _each(repeats: int, processes: int, measured: Callable[[int], T]) -> list[T]:
    """What is measured with each seed, some seeds at a time."""
    if processes == 1:
        return [measured(seed) for seed in range(repeats)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return list(pool.map(measured, range(repeats)))


def _row(course: Course, key: str, raced: Sequence[dict[str, Any]], absent: str = "") -> Comparison:
    missed = sum(not found[key]["reached"] for found in raced)
    name = course.searches[key][0]
    told = f", not reached in {missed} of {len(raced)} seeds" if missed else ""
    return Comparison(
        f"search-{course.key}/{course.trials}/{key}",
        f"{name}: epochs to random search's best value{told}; {course.what}",
        f"random search, {course.trials} trials x {course.epochs} epochs",
        "epochs",
        tuple(float(found[key]["epochs"]) for found in raced),
        tuple(float(found["random"]["epochs"]) for found in raced),
        absent=absent,
        share=True,
        of="mean",
        notes=json.dumps([{"best": found["random"]["best"], **found[key]} for found in raced]),
    )


def _few_examples(folder: Path, into: Path) -> str:
    """Write the first examples of Fashion-MNIST; give the override that names them."""
    data = f"data={{name: fashion_mnist, path: '{folder}', validation: {EXAMPLES}, scaling: none}}"
    dataset = load_dataset(load_job(FULL_SPACE, [data]).job.data)
    splits = (dataset.validation, dataset.train)
    np.savez(
        into / "few.npz",
        inputs=np.concatenate([split.inputs[:EXAMPLES].flatten(1).numpy() for split in splits]),
        targets=np.concatenate([split.targets[:EXAMPLES].numpy() for split in splits]),
    )
    return f"data={{name: npz, path: '{into / 'few.npz'}', validation: {EXAMPLES}, scaling: standardize}}"
