"""The stacks of a sweep: proposed generation by generation, and handed to the processes that train them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raydnn.errors import StoreError
from raydnn.launch.runs.reopening import learned_as_failed
from raydnn.launch.runs.runs import check_none_lost, commit_pending
from raydnn.search.generations import Generations
from raydnn.search.history import Result
from raydnn.search.packing import StackPlan, stacks_of
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.states import FINISHED, State
from raydnn.training.stack.member import trial_id

_COLUMNS = ["number", "state", "best_value", "epochs", "config_hash", "seed"]


class Stacks:
    """All stacks proposed so far; the next generation's follow when the last one's trials have ended.

    Trials and stacks are numbered through. Everything follows from the job and from what the store holds of
    earlier generations, so a resumed sweep proposes what it had proposed before.
    """

    def __init__(
        self,
        generations: Generations,
        most: int,
        fits: Callable[[Sequence[TrialSpec]], int] | None = None,
        share: Callable[[TrialSpec], float] | None = None,
    ) -> None:
        """Begin with the first generation.

        Args:
            generations: The trials of the sweep.
            most: Most trials of a stack.
            fits: Of trials of one shape, how many fit into memory at once; None: any number.
            share: Which share of a stack of several shapes a trial takes; None: there are none.
        """
        self.plans: list[StackPlan] = []
        """The list grows in place."""
        self.generations: list[Sequence[StackPlan]] = []
        """The same stacks, generation by generation."""
        self._source, self._most, self._fits, self._share = generations, most, fits, share
        self._trials = 0
        self._last: list[StackPlan] = []
        self._propose()

    @property
    def over(self) -> bool:
        """Whether no further stack follows."""
        return self._source.over

    @property
    def expected(self) -> int:
        """Number of all trials, also of those that are not proposed yet."""
        return self._source.expected

    @property
    def scheduler(self) -> int:
        """Which of the sweep's schedulers judges the last generation, by its first segment."""
        return self._source.stage.scheduler

    def follow(self, run: Run) -> Sequence[StackPlan]:
        """Learn from the last generation, whose stacks have all ended, and propose and commit the next one.

        Returns:
            The new stacks; none if the sweep is over.

        Raises:
            StoreError: The run's trials are not those that are proposed now.
            ClusterError: Some of them lost their processes too often.
        """
        if self.over:
            return []
        check_none_lost(run, self._last)  # what is not known of them would be learned wrongly
        rows = _rows(run)
        at = _at_rungs(run) if self._source.by_rung else {}
        numbers = [number for plan in self._last for number, _ in plan.trials]
        failed = learned_as_failed(run)
        self._source.learn(
            {number: _result(rows[number], at.get(trial_id(number), {}), failed) for number in numbers}
        )
        self._propose()
        commit_pending(run, [plan for plan in self._last if not _is_in(rows, plan, run)])
        return self._last

    def _propose(self) -> None:
        trials = self._source.propose()
        self._last = stacks_of(
            trials, self._source.stage, self._most, self._fits, len(self.plans), self._trials, self._share
        )
        self.plans += self._last
        self.generations.append(self._last)
        self._trials += len(trials)


def _rows(run: Run) -> dict[int, dict[str, Any]]:
    rows = read(run.location, "trials", _COLUMNS).to_pylist()
    return {row["number"]: row for row in rows}


def _at_rungs(run: Run) -> dict[str, dict[int, float]]:
    """Trial id → rung in epochs → the value that was judged there."""
    found: dict[str, dict[int, float]] = {}
    for row in read(run.location, "events", ["kind", "trial_id", "epoch", "value"]).to_pylist():
        if row["kind"] in ("stopped", "promoted"):
            found.setdefault(row["trial_id"], {})[row["epoch"]] = row["value"]
    return found


def _result(row: Mapping[str, Any], at: Mapping[int, float], failed: Mapping[str, int]) -> Result:
    if (name := trial_id(row["number"])) in failed:
        return Result(None, failed[name], False, at)
    trained = row["state"] in FINISHED
    value = row["best_value"] if trained else None
    return Result(value, row["epochs"] or 0, row["state"] == State.COMPLETED, at)


def _is_in(rows: Mapping[int, Mapping[str, Any]], plan: StackPlan, run: Run) -> bool:
    """Whether a stack's trials are in the store, where they must be as they are proposed now."""
    for number, trial in plan.trials:
        row = rows.get(number)
        if row is not None and (row["config_hash"], row["seed"]) != (trial.config_hash, trial.seed):
            raise StoreError(
                f"run {run.run_id} cannot be gone on with: its trial {number} is not the one that is proposed now; "
                f"it was begun with other versions (see {run.uri}/resolved.json) or on another kind of machine"
            )
    return all(number in rows for number, _ in plan.trials)
