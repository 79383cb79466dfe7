"""The trials of a sweep that came to no end: told with the sweep's results, for they are missing from its ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raydnn.launch.request import RETRY_FAILED
from raydnn.shell import command

if TYPE_CHECKING:
    import pyarrow as pa

    from raydnn.store.run import Run


def best_of(run: Run, n: int) -> pa.Table:
    """The n best of a sweep's trials, as `analysis.tables.top` has them.

    Raises:
        RaydnnError: No trial came to an end; the message tells what went wrong.
    """
    from raydnn.analysis.tables import top
    from raydnn.errors import RaydnnError

    best = top(run, n)
    if best.num_rows == 0:
        raise RaydnnError(f"no trial of {run.run_id} came to an end\n{what_went_wrong(run).rstrip()}")
    return best


def what_went_wrong(run: Run) -> str:
    """How many trials failed and diverged, each with the first one's reason, and the command that tells all of it.

    Args:
        run: The run.

    Returns:
        Lines, each with its end; empty where nothing went wrong.
    """
    from raydnn.analysis.logs import reason, wrecked
    from raydnn.store.states import WRECKED, State

    rows = wrecked(run)
    lines = []
    for state in WRECKED:
        of_state = [row for row in rows if row["state"] == state]
        if of_state:
            first = f"{of_state[0]['trial_id']}, {reason(of_state[0])}"
            lines.append(f"{len(of_state)} {state.lower()}: {'' if len(of_state) == 1 else 'first '}{first}")
    if lines:
        lines.append(f"what went wrong, and why: {command('logs', run.uri, '--errors')}")
    if any(row["state"] == State.FAILED for row in rows):
        lines.append(f"once that is mended: {command('sweep', '--resume', run.uri, RETRY_FAILED)}")
    return "".join(f"{line}\n" for line in lines)
