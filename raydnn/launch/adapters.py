"""raydnn in Ray Tune's terms: a searcher that hands stacks out, a scheduler that passes results on, a callback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ray.tune import Callback
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raydnn.launch.judging import Judging
from raydnn.store.commit import EventLog


class StackSearcher(Searcher):
    """Hands out the stacks, one a Tune trial, in the order given; then those of the next generation."""

    def __init__(
        self, stacks: Sequence[int], follow: Callable[[], Sequence[int]], over: Callable[[], bool]
    ) -> None:
        """Begin with nothing handed out.

        Args:
            stacks: The stacks to train now.
            follow: Called when all that were handed out have ended; gives the next ones.
            over: Whether no others follow.
        """
        super().__init__()
        self._waiting = list(stacks)
        self._follow, self._over = follow, over
        self._running: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """The next stack's number; None while the next generation has to wait."""
        if not self._waiting and not self._running and not self._over():
            self._waiting = list(self._follow())
        if self._waiting:
            self._running.add(trial_id)
            return {"stack": self._waiting.pop(0)}
        return None if self._running and not self._over() else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note that a stack has ended; what its members measured is in the store."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing is saved: a sweep is resumed from the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored: a sweep is resumed from the store."""


class StackScheduler(FIFOScheduler):
    """Lets every stack run to its end, and passes its members' results on to be judged."""

    def __init__(self, judging: Judging | None) -> None:
        super().__init__()
        self._judging = judging

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass a stack's results at a rung on; the stack itself always goes on.

        Raises:
            RaydnnError: What the stack's process reports instead: it cannot go on, nor could any other.
        """
        if "error" in result:
            raise result["error"]
        if self._judging is not None and "values" in result:
            self._judging.result(result["stack"], result["epoch"], dict(result["values"]))
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Note that a stack has ended."""
        self._end(trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Note that a stack has failed for good; one that will start again has not ended."""
        if not trial.should_recover():
            self._end(trial)

    def _end(self, trial: Any) -> None:
        if self._judging is not None:
            self._judging.ended(trial.config["stack"])


class Silence(TrialProgressCallback):
    """Stands in for Tune's own callback, which prints a line a trial whatever the verbosity."""

    def _print(self, msg: str) -> None:
        """Say nothing."""


class StackCallback(Callback):
    """Notes when stacks start, start again and fail."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack starts, for the first time or again."""
        self._note("started", trial)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack's process died and will start again."""
        self._note("retried", trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack's process died too often."""
        self._note("failed", trial)

    def _note(self, kind: str, trial: Any) -> None:
        self._events.add(kind, detail={"stack": trial.config["stack"]})
        self._events.commit()
