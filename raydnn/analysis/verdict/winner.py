"""The winner of a sweep, and how sure its value is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raydnn.analysis.verdict.configurations import COLUMNS, Configuration, ranked
from raydnn.analysis.verdict.intervals import of_best, wilson
from raydnn.store.read import read
from raydnn.store.run import Run

TEST = "m_test_accuracy"
"""Column with the accuracy of a trial on examples by which nothing was chosen."""


@dataclass(frozen=True)
class Winner:
    """The configuration that a sweep ranks first.

    Its value is that by which it was chosen, on the very examples by which it was chosen: the best of many, and so
    better than the network is. What is said of the network itself comes from the test examples.
    """

    trial_id: str
    """The first of its trials."""
    stage: str
    """`confirm` where the value is that of seeds with which the search did not choose."""
    value: float
    """Mean over its seeds of the best value of each."""
    std: float | None
    """Sample standard deviation over them; None for one."""
    seeds: int
    chosen_among: int
    """Configurations that were ranked by such values."""
    examples: int | None
    """Number of those that the value was measured on; None in runs of versions that did not count them."""
    low: float | None
    """Lower end of the 95 % interval of the mean over all seeds, measured on the same examples; None for one seed."""
    high: float | None
    """Its upper end."""
    test_accuracy: float | None = None
    """Of its first trial; None without test examples."""
    test_low: float | None = None
    """Lower end of the 95 % interval of that network's accuracy (Wilson); None where the examples are not counted."""
    test_high: float | None = None
    """Its upper end."""
    test_examples: int | None = None


def winner(run: Run) -> Winner | None:
    """The winner of a sweep; None where nothing came to an end."""
    rows = read(run.location, "trials", [*COLUMNS, TEST]).to_pylist()
    order = ranked(rows, run.mode)
    if not order:
        return None
    best, *others = [one for one in order if one.stage == order[0].stage]
    low, high = _over_seeds(best, others, run.mode) or (None, None)
    accuracy = next(row[TEST] for row in rows if row["number"] == best.number)
    counted = run.resolved().get("examples", {})
    tested = counted.get("test") if accuracy is not None else None
    test_low, test_high = wilson(accuracy, tested) if tested else (None, None)
    return Winner(
        trial_id=best.trial_id,
        stage=best.stage,
        value=best.mean,
        std=best.spread.std,
        seeds=len(best.spread.values),
        chosen_among=1 + len(others),
        examples=counted.get(run.metric.partition("_")[0]),
        low=low,
        high=high,
        test_accuracy=accuracy,
        test_low=test_low,
        test_high=test_high,
        test_examples=tested,
    )


def _over_seeds(
    best: Configuration, others: Sequence[Configuration], mode: str
) -> tuple[float, float] | None:
    """The interval of a configuration's mean over seeds, corrected for its having been chosen by that mean."""
    if len(best.spread.values) < 2:
        return None
    sign = -1 if mode == "min" else 1
    own, *contending = [[sign * value for value in one.spread.values] for one in (best, *others)]
    low, high = sorted(sign * end for end in of_best(own, contending))
    return low, high
