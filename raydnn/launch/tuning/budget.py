"""How often the process of a stack may die: counted anew from each epoch that the stack has got to."""

from __future__ import annotations

from collections.abc import Sequence

from raydnn.search.packing import StackPlan
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.stack.member import trial_id


class FailureBudget:
    """Knows by the store whether stacks get on."""

    def __init__(self, run: Run, plans: Sequence[StackPlan]) -> None:
        """Begin.

        Args:
            run: The sweep.
            plans: Its stacks by number; the list may grow.
        """
        self._run, self._plans = run, plans
        self._reached: dict[int, int] = {}
        """Stack → its last epoch when it was last asked for."""

    def renewed(self, stack: int) -> bool:
        """Whether a stack has committed a further epoch since this was last asked."""
        members = {trial_id(number) for number, _ in self._plans[stack].trials}
        rows = read(self._run.location, "epochs", ["trial_id", "epoch"]).to_pylist()
        newest = max((row["epoch"] for row in rows if row["trial_id"] in members), default=0)
        before, self._reached[stack] = self._reached.get(stack, 0), newest
        return newest > before
