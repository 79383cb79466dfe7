"""raydnn in Ray Tune's terms: a searcher that hands stacks out, a scheduler that passes results on, a callback."""

from __future__ import annotations

import json
from typing import Any

from ray.tune import Callback
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raydnn.launch.sweep.queue import Turns
from raydnn.store.commit import EventLog


class StackSearcher(Searcher):
    """Hands out the stacks, one a Tune trial, in their turn."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    def suggest(self, trial_id: str) -> Any:
        """The next stack's number; None while there is none."""
        stack = self._turns.next()
        if stack is not None:
            return {"stack": stack}
        return Searcher.FINISHED if self._turns.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler is told as well."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing is saved: a sweep is resumed from the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored: a sweep is resumed from the store."""


class StackScheduler(FIFOScheduler):
    """Lets every stack run until it ends or gives way, and passes its members' results on to be judged."""

    def __init__(self, turns: Turns, events: EventLog) -> None:
        super().__init__()
        self._turns, self._events = turns, events
        self._leaving: set[int] = set()
        """Stacks that said that they give way, and whose Tune trials are about to end."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass a stack's results at a rung on; Tune is never to stop it.

        Raises:
            RaydnnError: What the stack's process reports instead: it cannot go on, nor could any other.
        """
        if "error" in result:
            raise result["error"]
        if "incident" in result:
            self._events.add(result["incident"], detail=json.loads(result["detail"]))
            self._events.commit()
        elif "gives_way" in result:
            self._leaving.add(result["stack"])
        elif "values" in result:
            self._leaving.discard(result["stack"])
            self._turns.result(result["stack"], result["epoch"], dict(result["values"]))
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Note that a stack has ended, or has given way."""
        stack = trial.config["stack"]
        if stack in self._leaving:
            self._leaving.remove(stack)
            self._turns.gave_way(stack)
        else:
            self._turns.ended(stack)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Note that a stack has failed for good, or will start again."""
        if trial.should_recover():
            self._turns.lost(trial.config["stack"])
        else:
            self._leaving.discard(trial.config["stack"])
            self._turns.ended(trial.config["stack"])


class Silence(TrialProgressCallback):
    """Stands in for Tune's own callback, which prints a line a trial whatever the verbosity."""

    def _print(self, msg: str) -> None:
        """Say nothing."""


class StackCallback(Callback):
    """Notes when stacks start, give way, go on, start again after a failure, and fail; sees to their room."""

    def __init__(self, events: EventLog, turns: Turns) -> None:
        self._events, self._turns = events, turns

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Machines may have been lost meanwhile."""
        self._turns.make_room()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack starts, for the first time or again."""
        self._note("resumed" if self._turns.started(trial.config["stack"]) else "started", trial)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack's Tune trial ends; one that gave way will go on."""
        if self._turns.is_away(trial.config["stack"]):
            self._note("paused", trial)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack's process died and will start again."""
        self._note("retried", trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A stack's process died too often."""
        self._note("failed", trial)

    def _note(self, kind: str, trial: Any) -> None:
        self._events.add(kind, detail={"stack": trial.config["stack"]})
        self._events.commit()
