"""The command line as it watches a run: notes on stderr, the network's summary on stdout, live progress."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from raydnn.cli.printing.progress import SweepLine, following, print_epochs
from raydnn.cli.printing.terminal import tell

if TYPE_CHECKING:
    from raydnn.store.run import Run
    from raydnn.training.stack.summary import Summary

HEADER = "layer", "output", "parameters", "operations"


class Terminal:
    """Prints what it is told."""

    def note(self, line: str) -> None:
        """Print a line on stderr."""
        tell(line, err=True)

    def summary(self, summary: Summary) -> None:
        """Print a table of the layers, how a stack is computed, and what the data holds."""
        rows = [HEADER]
        for row in summary.layers:
            shape = " x ".join(map(str, row.shape))
            rows.append((row.name, shape, f"{row.parameters:,}", f"{row.operations:,}"))
        for name, shape, parameters, operations in rows:
            tell(f"  {name:<20} {shape:>14} {parameters:>12} {operations:>14}")
        if summary.strategy:
            tell(summary.strategy)
        tell(
            f"{summary.parameters:,} parameters · {summary.examples['train']:,} training, "
            f"{summary.examples['validation']:,} validation, {summary.examples.get('test', 0):,} test examples · "
            f"{summary.steps_per_epoch:,} steps an epoch"
        )

    def training(self, run: Run) -> AbstractContextManager[None]:
        """Print a line an epoch."""
        return following(run, print_epochs)

    def sweep(self, run: Run, trials: int, epochs: int) -> AbstractContextManager[None]:
        """Show one line that changes."""
        return following(run, SweepLine(trials, epochs))
