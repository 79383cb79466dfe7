"""The spread of each configuration over its seeds, written into the trials of a sweep that has ended."""

from __future__ import annotations

from collections.abc import Sequence

from raydnn.analysis.verdict.configurations import spreads
from raydnn.search.packing import StackPlan
from raydnn.store.commit import commit_trials
from raydnn.store.read import read
from raydnn.store.run import Run


def note_spread(run: Run, plans: Sequence[StackPlan]) -> None:
    """Fill in mean_value, std_value and seeds; where each configuration has one seed, they stay null.

    A stack's file is replaced by one of the same attempt, since nothing was trained again. Stacks whose rows tell
    it already are left alone, so a driver that dies here does the rest when the sweep is resumed.

    Args:
        run: The sweep; all of its trials have ended.
        plans: Its stacks.
    """
    if all(plan.stage.seeds == 1 for plan in plans):
        return
    rows = {row["number"]: row for row in read(run.location, "trials").to_pylist()}
    of_stage = spreads(list(rows.values()))
    for plan in plans:
        told = []
        for number, _ in plan.trials:
            row = rows[number]
            spread = of_stage[row["config_hash"], row["stage"]]
            seeds = len(spread.values)
            told.append({**row, "mean_value": spread.mean, "std_value": spread.std, "seeds": seeds})
        if told != [rows[number] for number, _ in plan.trials]:
            attempt = max(row["attempts"] for row in told)
            commit_trials(run, plan.number, attempt, [{**row, "attempts": None} for row in told])
