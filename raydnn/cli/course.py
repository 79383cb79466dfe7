"""The summary with which a sweep ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from raydnn.analysis.winner import Winner
    from raydnn.store.run import Run

BARS = "▁▂▃▄▅▆▇█"
POINTS = 24
"""Bars of a sparkline."""


def print_course(run: Run, epochs_possible: int, examples: int | None = None) -> None:
    """Print how a sweep went: its trials, rungs, epochs, the best value over time, and where the tables are.

    Args:
        run: The run.
        epochs_possible: Epochs that all trials together could have been trained.
        examples: Number of those that the metric is measured on; None: not known.
    """
    from raydnn.analysis.course import best_at, course
    from raydnn.analysis.winner import winner

    found = course(run)
    states = ", ".join(f"{count} {state.lower()}" for state, count in found.states.items())
    lines = [f"trials: {sum(found.states.values())}: {states}"]
    if found.rungs:
        rungs = (f"{rung['go_on']} of {rung['trials']} after epoch {rung['epoch']}" for rung in found.rungs)
        lines.append(f"rungs: went on {', '.join(rungs)}")
    if found.exploits:
        copied = (f"{count} after epoch {epoch}" for epoch, count in found.exploits.items())
        lines.append(f"exploits: {', '.join(copied)}")
    lines.append(
        f"epochs: {found.epochs} of at most {epochs_possible} ({found.epochs / epochs_possible:.0%})"
    )
    if found.improvements:
        first, last = found.improvements[0], found.improvements[-1]
        bars = sparkline(best_at(found.improvements, found.seconds, POINTS))
        lines.append(
            f"best {run.metric}: {first.value:.4g} {bars} {last.value:.4g} "
            f"({last.trial_id}, after {last.seconds:.0f} of {found.seconds:.0f} s)"
        )
    best = winner(run, examples)
    if best is not None:
        # The winner of a population has had several configurations, and none that could be confirmed.
        certain = f"{best.value:.4g}" if found.exploits and best.low is None else certainty(best)
        lines.append(f"winner: {best.trial_id}, {run.metric} {certain}")
    lines.append(f"Parquet: {run.uri}/trials/*.parquet, epochs, events")
    click.echo("\n" + "\n".join(lines), err=True)


def certainty(best: Winner) -> str:
    """A winner's value, and how sure it is."""
    if best.low is None:
        return f"{best.value:.4g}; one seed gives no interval, search.confirm=3 would"
    over = {
        "student": f"over {best.seeds} {'confirming ' if best.stage == 'confirm' else ''}seeds",
        "wilson": f"over the {best.examples} examples, of one seed",
    }
    return f"{best.value:.4g}, 95 % interval {best.low:.4g} to {best.high:.4g} {over[str(best.method)]}"


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, as high as it lies between the lowest and the highest of them."""
    lowest, highest = min(values), max(values)
    if lowest == highest:
        return BARS[0] * len(values)
    return "".join(BARS[round((value - lowest) / (highest - lowest) * (len(BARS) - 1))] for value in values)
