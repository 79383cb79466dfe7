"""The summary with which a sweep ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raydnn.cli.printing.terminal import tell

if TYPE_CHECKING:
    from raydnn.analysis.verdict.winner import Winner
    from raydnn.store.run import Run

BARS = "▁▂▃▄▅▆▇█"
POINTS = 24
"""Bars of a sparkline."""


def print_course(run: Run, epochs_possible: int) -> None:
    """Print how a sweep went: its trials, rungs, epochs, the best value over time, and where the tables are.

    Args:
        run: The run.
        epochs_possible: Epochs that all trials together could have been trained.
    """
    from raydnn.analysis.course import best_at, course, memory_lacked
    from raydnn.analysis.verdict.baseline import beside_baseline
    from raydnn.analysis.verdict.winner import winner

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
    lines += memory_lacked(run)
    if found.improvements:
        first, last = found.improvements[0], found.improvements[-1]
        bars = sparkline(best_at(found.improvements, found.seconds, POINTS))
        lines.append(
            f"best {run.metric}: {first.value:.4g} {bars} {last.value:.4g} "
            f"({last.trial_id}, after {last.seconds:.0f} of {found.seconds:.0f} s)"
        )
    best = winner(run)
    if best is not None:
        lines.append(f"winner: {best.trial_id}, {run.metric} {best.value:.4g}{chosen(best)}")
        lines += certainty(best, can_confirm=not found.exploits)
        lines += beside_baseline(run, best.trial_id)
    lines.append(f"Parquet: {run.uri}/trials/*.parquet, epochs, events")
    tell("\n" + "\n".join(lines), err=True)


def chosen(best: Winner) -> str:
    """What a winner's value is: that by which it was chosen, so no measure of the network."""
    if best.chosen_among == 1:
        return ""
    by = "the examples" if best.examples is None else f"the same {best.examples} examples"
    return f", the best of {best.chosen_among} by {by}, so likely better than it is"


def certainty(best: Winner, can_confirm: bool = True) -> list[str]:
    """What is known of a winner beyond its value, a line each.

    Args:
        best: The winner.
        can_confirm: Whether further seeds of it could be trained.
    """
    lines = []
    if best.low is not None:
        seeds = f"{best.seeds} {'confirming ' if best.stage == 'confirm' else ''}seeds"
        lines.append(
            f"seeds: over {seeds}; the mean over all seeds, on these examples, lies with 95 % confidence in "
            f"{best.low:.4g} to {best.high:.4g}"
        )
    elif can_confirm:
        lines.append("seeds: one, which tells nothing of others; search.confirm=3 trains more")
    if best.test_low is not None:
        lines.append(
            f"test: accuracy {best.test_accuracy:.4g}, 95 % interval {best.test_low:.4g} to {best.test_high:.4g} "
            f"over {best.test_examples} test examples, by which nothing was chosen"
        )
    return lines


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, as high as it lies between the lowest and the highest of them."""
    lowest, highest = min(values), max(values)
    if lowest == highest:
        return BARS[0] * len(values)
    return "".join(BARS[round((value - lowest) / (highest - lowest) * (len(BARS) - 1))] for value in values)
