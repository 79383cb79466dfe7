"""A dispatcher in Ray Tune's terms: a searcher that hands stacks out, a scheduler that passes reports on."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raydnn.launch.engine.engine import Dispatcher

REPORT = "report"
"""Name of what a stack's process reports in a result of Tune's."""


class _NotSaved:
    """Tune saves what it is given when it begins, but a sweep is resumed from the store."""

    def __getstate__(self) -> dict[str, object]:
        return {}


class StackSearcher(_NotSaved, Searcher):
    """Hands out the stacks, one a Tune trial, in their turn."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher

    def suggest(self, trial_id: str) -> Any:
        """The next stack's number; None while there is none."""
        stack = self._dispatcher.next()
        if stack is not None:
            return {"stack": stack}
        return Searcher.FINISHED if self._dispatcher.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler is told as well."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing is saved: a sweep is resumed from the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored: a sweep is resumed from the store."""


class StackScheduler(_NotSaved, FIFOScheduler):
    """Lets every stack run until it ends or gives way, and passes on what it reports."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass a report on; Tune is never to stop a stack.

        Raises:
            RaydnnError: What the stack's process reports instead: it cannot go on, nor could any other.
        """
        if REPORT in result:
            self._dispatcher.report(result[REPORT])
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A stack has ended, or has given way."""
        self._dispatcher.left(trial.config["stack"])

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """A stack's process died, too often or to start again."""
        if trial.should_recover():
            self._dispatcher.died(trial.config["stack"])
        else:
            self._dispatcher.given_up(trial.config["stack"])


class Silence(TrialProgressCallback):
    """Stands in for Tune's own callback, which prints a line a trial whatever the verbosity."""

    def _print(self, msg: str) -> None:
        """Say nothing."""


class StackCallback(_NotSaved, Callback):
    """Tells when stacks start, and that time passes."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Machines may have been lost meanwhile."""
        self._dispatcher.idle()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack starts, for the first time or again."""
        self._dispatcher.started(trial.config["stack"])
