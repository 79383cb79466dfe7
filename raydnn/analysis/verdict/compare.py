"""Which of two runs is better, at equal epochs of the configurations that both have trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from statistics import fmean
from typing import Any

import pyarrow.compute as pc

from raydnn.analysis.verdict.intervals import student
from raydnn.errors import UsageError
from raydnn.store.read import read
from raydnn.store.run import Run


@dataclass(frozen=True)
class Compared:
    """What two runs differ in."""

    better: str | None
    """The run whose values are better, as far as their interval tells; None: either may be."""
    difference: float | None
    """Mean of B's value less A's over the pairs."""
    low: float | None
    """The 95 % interval of that mean; None where there are fewer than two pairs."""
    high: float | None
    pairs: int
    """Configurations, of one seed each, that both have trained for an epoch at least."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return asdict(self)


def compare(a: Run, b: Run) -> Compared:
    """Compare the best values that two runs' trials of the same configuration and seed had by the same epoch.

    The epoch of a pair is the last one that both were trained. The interval is Student's of the pairs' differences.

    Args:
        a: A run.
        b: Another one, with the same metric.

    Raises:
        UsageError: They are one run, or their metrics are not the same.
    """
    if a.uri == b.uri:
        raise UsageError(f"both are run {a.run_id}; give another one")
    if (a.metric, a.mode) != (b.metric, b.mode):
        raise UsageError(f"{a.run_id} has {a.metric} ({a.mode}), {b.run_id} has {b.metric} ({b.mode})")
    of_a, of_b = _curves(a), _curves(b)
    best = min if a.mode == "min" else max
    differences = []
    for trial in sorted(of_a.keys() & of_b.keys()):
        epochs = min(len(of_a[trial]), len(of_b[trial]))
        differences.append(best(of_b[trial][:epochs]) - best(of_a[trial][:epochs]))
    if not differences:
        return Compared(None, None, None, None, 0)
    if len(differences) == 1:
        return Compared(None, differences[0], None, None, 1)
    low, high = student(differences)
    less = b.run_id if high < 0 else a.run_id if low > 0 else None
    more = b.run_id if low > 0 else a.run_id if high < 0 else None
    return Compared(less if a.mode == "min" else more, fmean(differences), low, high, len(differences))


def _curves(run: Run) -> dict[tuple[str, int], list[float]]:
    """Configuration and seed → the metric after each epoch, up to the first value that is none."""
    trials = read(run.location, "trials", ("trial_id", "config_hash", "seed")).to_pylist()
    epochs = read(run.location, "epochs", ("trial_id", "epoch", run.metric))
    of_trial: dict[str, list[float | None]] = {}
    for row in epochs.take(
        pc.sort_indices(epochs, [("trial_id", "ascending"), ("epoch", "ascending")])
    ).to_pylist():
        of_trial.setdefault(row["trial_id"], []).append(row[run.metric])
    curves: dict[tuple[str, int], list[float]] = {}
    for trial in trials:
        values = []
        for value in of_trial.get(trial["trial_id"], []):
            if value is None or not isfinite(value):
                break
            values.append(value)
        if values:
            curves[trial["config_hash"], trial["seed"]] = values
    return curves
