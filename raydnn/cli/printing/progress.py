"""Live progress on stderr, read from the store, which has every row before anyone else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from raydnn.cli.printing.layout import wrapped
from raydnn.cli.printing.terminal import can_erase, columns_of_terminal, fitted, show_live, tell
from raydnn.store.states import ENDED, State

if TYPE_CHECKING:
    from raydnn.analysis.progress import Progress
    from raydnn.store.run import Run

POLL_SECONDS = 0.3
_LARGE = 1e4
"""A loss of this size has no decimals to tell."""
PLAIN_LINE_SECONDS = 2.0
"""Without a terminal a line is printed at most this often."""


@contextmanager
def following(run: Run, show: Callable[[Progress, list[dict[str, Any]], bool], None]) -> Iterator[None]:
    """Call `show(progress, new rows of epochs, last)` again and again while the block runs, and once at its end."""
    from raydnn.analysis.progress import Progress

    progress = Progress(run)
    progress.poll()
    ended = Event()

    def follow() -> None:
        while not ended.wait(POLL_SECONDS):
            show(progress, progress.poll(), False)

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        show(progress, progress.poll(), True)


def print_epochs(_progress: Progress, rows: list[dict[str, Any]], _last: bool) -> None:
    """A line an epoch, for one training."""
    for row in rows:
        tell(epoch_line(row), err=True)


def epoch_line(row: Mapping[str, Any]) -> str:
    """One epoch in one line: losses, accuracies, learning rate, time."""
    values = [f"epoch {row['epoch']}"]
    for split in ("train", "validation"):
        accuracy = row[f"{split}_accuracy"]
        loss = row[f"{split}_loss"]
        values.append(f"{split} loss {loss:.4f}" if abs(loss) < _LARGE else f"{split} loss {loss:.5g}")
        if accuracy is not None:
            values[-1] += f" accuracy {accuracy:.4f}"
    values.append(f"lr {row['lr']:.3g}")
    values.append(f"{row['seconds']:.1f} s")
    return " · ".join(values)


class SweepLine:
    """One line that changes on a terminal; plain lines, now and then, elsewhere."""

    def __init__(self, trials: int, epochs: int) -> None:
        """Begin.

        Args:
            trials: Number of the sweep's trials.
            epochs: Most epochs that all of them together can be trained.
        """
        self._trials = trials
        self._epochs = epochs
        self._begun_seconds = monotonic()
        self._begun_epochs: int | None = None
        self._printed_seconds = 0.0
        self._printed = ""

    def __call__(self, progress: Progress, _rows: list[dict[str, Any]], last: bool) -> None:
        """Show where the sweep is."""
        if self._begun_epochs is None:
            self._begun_epochs = len(progress.epochs)
        line, now = self._line(progress), monotonic()
        if can_erase() and not last:
            show_live(fitted(line, columns_of_terminal() - 1))
        elif line != self._printed and (last or now - self._printed_seconds >= PLAIN_LINE_SECONDS):
            tell("\n".join(wrapped(line, columns_of_terminal())) if sys.stderr.isatty() else line, err=True)
            self._printed, self._printed_seconds = line, now

    def _line(self, progress: Progress) -> str:
        states = progress.count()
        ended = sum(states.get(state, 0) for state in ENDED)
        seconds = monotonic() - self._begun_seconds
        rate = (len(progress.epochs) - (self._begun_epochs or 0)) / seconds if seconds > 0 else 0.0
        parts = [
            f"trials {ended}/{self._trials} ended{_counts(states)}",
            *_rungs(progress),
            f"epochs {len(progress.epochs)} of at most {self._epochs}",
        ]
        if progress.best is not None:
            parts.append(f"best {progress.run.metric} {progress.best[0]:.4g} ({progress.best[1]})")
        if rate > 0:
            parts.append(f"{rate:.1f} epochs/s")
            if ended < self._trials:
                parts.append(f"at most {self._left_seconds(progress, rate):.0f} s left")
        return " · ".join(parts)

    def _left_seconds(self, progress: Progress, rate: float) -> float:
        """Time if every trial that has not ended is trained to its last epoch."""
        ended = {trial for trial, state in progress.states.items() if state in ENDED}
        trained = sum(trial not in ended for trial, _ in progress.epochs)
        return ((self._trials - len(ended)) * self._epochs / self._trials - trained) / rate


def _counts(states: Mapping[str, int]) -> str:
    """` (3 stopped, 1 failed), 8 running`: how trials ended, and how many are under way."""
    ends = ", ".join(f"{states[state]} {state.lower()}" for state in ENDED if states.get(state))
    return f"{f' ({ends})' if ends else ''}, {states.get(State.RUNNING, 0)} running"


def _rungs(progress: Progress) -> list[str]:
    """`rungs 64 20 8`: how many trials have been judged at each of them."""
    reached = progress.rungs()
    return [f"rungs {' '.join(map(str, reached))}"] if reached else []
