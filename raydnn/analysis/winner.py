"""The winner of a sweep, and how sure its value is."""

from __future__ import annotations

from dataclasses import dataclass

from raydnn.analysis.configurations import COLUMNS, ranked
from raydnn.analysis.intervals import student, wilson
from raydnn.store.read import read
from raydnn.store.run import Run


@dataclass(frozen=True)
class Winner:
    """The configuration that a sweep ranks first."""

    trial_id: str
    """The first of its trials."""
    stage: str
    """`confirm` where the value is that of seeds it was not selected by."""
    value: float
    """Mean over its seeds."""
    std: float | None
    """Sample standard deviation over them; None for one."""
    seeds: int
    low: float | None
    """Lower end of the 95 % confidence interval; None where there is none."""
    high: float | None
    """Its upper end."""
    method: str | None
    """`student` over the seeds, or `wilson` over the examples of one."""
    examples: int | None = None
    """With `wilson`: their number."""


def winner(run: Run, examples: int | None = None) -> Winner | None:
    """The winner of a sweep; None where nothing came to an end.

    Args:
        run: The sweep.
        examples: Number of those that its metric is measured on; None where it is not known. It is asked for an
            accuracy of one seed alone.
    """
    best = next(iter(ranked(read(run.location, "trials", list(COLUMNS)).to_pylist(), run.mode)), None)
    if best is None:
        return None
    values = best.spread.values
    method, interval = None, None
    if len(values) > 1:
        method, interval = "student", student(values)
    elif run.metric.endswith("accuracy") and examples:
        method, interval = "wilson", wilson(best.mean, examples)
    low, high = interval or (None, None)
    of = examples if method == "wilson" else None
    return Winner(best.trial_id, best.stage, best.mean, best.spread.std, len(values), low, high, method, of)
