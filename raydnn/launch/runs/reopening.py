"""Failed trials that are to be trained again, once what failed is mended."""

from __future__ import annotations

from collections.abc import Sequence

from raydnn.search.packing import StackPlan
from raydnn.store.commit import EventLog, commit_trials, next_attempt
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.states import State

REOPENED = "reopened"
"""Kind of the event."""
_FORGOTTEN = ("stop_reason", "ended_at", "error_type", "error", "traceback_path", "attempts")


def reopen(run: Run, generations: Sequence[Sequence[StackPlan]]) -> int:
    """Let the failed trials of a run be trained again, on from the last checkpoint of their stacks.

    What a search has learned from their failure stays learned, so that it proposes the same trials as before.

    Args:
        run: The run, which this process drives.
        generations: All of its stacks.

    Returns:
        How many there are.
    """
    rows = {row["number"]: row for row in read(run.location, "trials").to_pylist()}
    events = EventLog(run)
    count = 0
    for plans in generations:
        for plan in plans:
            of_stack = [rows[number] for number, _ in plan.trials if number in rows]
            failed = [row for row in of_stack if row["state"] == State.FAILED]
            count += len(failed)
            for row in failed:
                learned = plans is not generations[-1]
                events.add(
                    REOPENED, trial_id=row["trial_id"], epoch=row["epochs"] or 0, detail={"learned": learned}
                )
            if failed:
                changed = [_waiting(row) if row in failed else {**row, "attempts": None} for row in of_stack]
                # Noted first: a failure that was learned and is not noted would be learned anew.
                events.commit()
                commit_trials(run, plan.number, next_attempt(run, plan.number), changed)
    return count


def _waiting(row: dict[str, object]) -> dict[str, object]:
    return {**row, **dict.fromkeys(_FORGOTTEN), "state": State.PENDING}


def learned_as_failed(run: Run) -> dict[str, int]:
    """Trial id → the epochs it had, of the trials from whose failure a search has learned."""
    rows = read(run.location, "events", ["kind", "trial_id", "epoch", "detail"]).to_pylist()
    found: dict[str, int] = {}
    for row in rows:
        if row["kind"] == REOPENED and '"learned": true' in (row["detail"] or ""):
            found.setdefault(row["trial_id"], row["epoch"])
    return found
