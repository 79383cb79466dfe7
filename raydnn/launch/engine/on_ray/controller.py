"""Ray Tune's controller, which keeps the processes that it has started, and counts failures since the last progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.utils.object_cache import _ObjectCache


@contextmanager
def stack_controller(progressed: Callable[[int], bool]) -> Iterator[None]:
    """Let Tune use a `StackController` in this block.

    Args:
        progressed: Whether a stack has got on since this was last asked.
    """
    tune = sys.modules["ray.tune.tune"]
    original = tune.TuneController
    tune.TuneController = partial(StackController, progressed)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        tune.TuneController = original  # type: ignore[attr-defined]


class StackController(TuneController):
    """Starts as many processes as there are slots, for the whole sweep, unless they die.

    Tune itself keeps one process that has nothing to do, and takes the one that is being started for a trial down
    where another is free earlier. Where processes start slowly and trials are short, it so starts process after
    process, of which none trains.
    """

    def __init__(self, progressed: Callable[[int], bool], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._progressed = progressed
        self._actor_cache = _Kept()
        self._unclaimed: dict[Any, Any] = {}
        """Processes that are being started, and that no trial waits for any more → what they take."""

    def __getstate__(self) -> dict[str, Any]:
        """What Tune saves now and then; a sweep is resumed from the store."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("_unclaimed", "_progressed")}

    def _maybe_reuse_cached_actor(self, trial: Any) -> bool:
        """Give a trial a process that is free; the one that is being started for it is for another trial then."""
        takes, starting = trial.placement_group_factory, self._trial_to_actor.get(trial)
        free = self._actor_cache.has_cached_object(takes) and trial not in self._resetting_trials
        if free and starting is not None:
            del self._trial_to_actor[trial]
            del self._actor_to_trial[starting]
            self._unclaimed[starting] = takes
        return bool(super()._maybe_reuse_cached_actor(trial))

    def _schedule_trial_actor(self, trial: Any) -> None:
        """Start a process for a trial, unless one that no trial waits for is being started, and so soon free."""
        free = self._actor_cache.has_cached_object(trial.placement_group_factory)
        if not free and len(self._without_process()) <= len(self._unclaimed):
            trial.init_local_path()
            self._mark_trial_to_checkpoint(trial)
        else:
            super()._schedule_trial_actor(trial)

    def _without_process(self) -> list[Any]:
        """The trials that are to start and have no process, not even one that is being started."""
        return [trial for trial in self._staged_trials if trial not in self._trial_to_actor]

    def _actor_started(self, tracked_actor: Any, log: str = "STARTED") -> None:
        if tracked_actor in self._unclaimed:
            self._started_actors.add(tracked_actor)
            self._actor_cache.cache_object(self._unclaimed.pop(tracked_actor), tracked_actor)
        else:
            super()._actor_started(tracked_actor, log)

    def _actor_failed(self, tracked_actor: Any, exception: Exception) -> None:
        if tracked_actor not in self._unclaimed:
            super()._actor_failed(tracked_actor, exception)
            return
        del self._unclaimed[tracked_actor]
        self._actor_manager.clear_actor_task_futures(tracked_actor)
        for trial in self._without_process()[len(self._unclaimed) :]:
            super()._schedule_trial_actor(trial)

    def _process_trial_failure(self, trial: Any, exception: Any) -> None:
        if self._progressed(trial.config["stack"]):
            trial.run_metadata.num_failures = 0
        super()._process_trial_failure(trial, exception)

    def _cleanup_trials(self) -> None:
        for starting in self._unclaimed:
            starting.set_on_start(None)
            starting.set_on_error(None)
            self._actor_manager.remove_actor(starting)
        self._unclaimed.clear()
        super()._cleanup_trials()


class _Kept(_ObjectCache):
    """Keeps whatever is free, until all is taken."""

    def cache_object(self, key: Any, obj: Any) -> bool:
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Iterator[Any]:
        if force_all:
            yield from super().flush_cached_objects(force_all=True)
