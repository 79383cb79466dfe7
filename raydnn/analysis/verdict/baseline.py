"""A trial beside what is reached without a network."""

from __future__ import annotations

from raydnn.spec.reading.problems import show
from raydnn.store.read import read
from raydnn.store.run import Run

_COLUMNS = ["trial_id", "p_loss_name", "m_best_validation_accuracy", "m_best_validation_loss"]


def beside_baseline(run: Run, trial_id: str) -> list[str]:
    """What one and the same answer to all inputs reaches, and whether a trial is no better, a line each.

    Args:
        run: The run; runs of versions that did not work a baseline out have none.
        trial_id: The trial. Of numbers it is compared where its loss is the squared error.
    """
    baseline = run.resolved().get("baseline", {})
    rows = read(run.location, "trials", _COLUMNS).to_pylist()
    row = next((row for row in rows if row["trial_id"] == trial_id), None)
    if row is None:
        return []
    accuracy, loss = row["m_best_validation_accuracy"], row["m_best_validation_loss"]
    if "validation_accuracy" in baseline and accuracy is not None:
        reached = baseline["validation_accuracy"]
        answer = f"always answering {show(baseline['class'])}, the most frequent class"
        return _lines("validation_accuracy", reached, accuracy, answer, accuracy <= reached)
    if "validation_mse" in baseline and loss is not None and row["p_loss_name"] == "mse":
        reached = baseline["validation_mse"]
        return _lines("validation_loss", reached, loss, "always answering the mean", loss >= reached)
    return []


def _lines(metric: str, reached: float, own: float, answer: str, no_better: bool) -> list[str]:
    lines = [f"baseline: {metric} {reached:.4g}, {answer}"]
    return [*lines, f"warning: {own:.4g} is no better than {answer}"] if no_better else lines
