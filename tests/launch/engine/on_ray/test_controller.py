"""As many processes as slots, whichever is there first: Tune's controller, with processes that only pretend."""

from __future__ import annotations

from typing import Any

import pytest
from ray.tune.execution.tune_controller import TuneController

from raydnn.launch.engine.on_ray.controller import StackController, _Kept


class Trial:
    """A trial that can be told from others."""

    placement_group_factory = "one core"

    def __init__(self) -> None:
        self.config = {"stack": 0}
        self.run_metadata = type("Metadata", (), {"num_failures": 3})()

    def init_local_path(self) -> None:
        pass


class Manager:
    """Stands for what holds the processes."""

    def clear_actor_task_futures(self, process: Any) -> None:
        pass


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A controller of two slots; `requested` are the processes that it has asked for."""

    def request(self: Any, trial: Any) -> None:
        if not self._maybe_reuse_cached_actor(trial):
            process = f"process {len(self.requested)}"
            self.requested.append(process)
            self._trial_to_actor[trial] = process
            self._actor_to_trial[process] = trial

    def reuse(self: Any, trial: Any) -> bool:
        if not self._actor_cache.has_cached_object("one core"):
            return False
        process = self._actor_cache.pop_cached_object("one core")
        assert trial not in self._trial_to_actor, "its own process would be taken down"
        self._trial_to_actor[trial] = process
        self._actor_to_trial[process] = trial
        return True

    def started(self: Any, process: Any, log: str = "") -> None:
        self._staged_trials.remove(self._actor_to_trial[process])

    monkeypatch.setattr(TuneController, "_schedule_trial_actor", request)
    monkeypatch.setattr(TuneController, "_maybe_reuse_cached_actor", reuse)
    monkeypatch.setattr(TuneController, "_actor_started", started)
    monkeypatch.setattr(TuneController, "_process_trial_failure", lambda *_: None)
    made = object.__new__(StackController)
    made._actor_cache, made._unclaimed, made._progressed = _Kept(), {}, lambda stack: False
    made._trial_to_actor, made._actor_to_trial = {}, {}
    made._staged_trials, made._resetting_trials, made._started_actors = set(), set(), set()
    made._mark_trial_to_checkpoint = lambda trial: None  # type: ignore[method-assign]
    made._actor_manager = Manager()  # type: ignore[assignment]
    made.requested = []  # type: ignore[attr-defined]
    return made


def begin(controller: Any) -> Trial:
    trial = Trial()
    controller._staged_trials.add(trial)
    controller._schedule_trial_actor(trial)
    return trial


def end(controller: Any, trial: Trial) -> None:
    process = controller._trial_to_actor.pop(trial)
    del controller._actor_to_trial[process]
    assert controller._actor_cache.cache_object("one core", process)
    assert not list(controller._actor_cache.flush_cached_objects())


def begin_slowly(controller: Any) -> tuple[Trial, Trial]:
    """Two trials of which one has taken the other's place; `process 1` is still being started."""
    first, second = begin(controller), begin(controller)
    controller._actor_started("process 0")
    end(controller, first)
    third = begin(controller)
    assert controller._trial_to_actor[third] == "process 0"
    controller._actor_started("process 0")
    end(controller, third)
    # The one that waits takes what is free; what is being started for it is for the next one.
    assert controller._maybe_reuse_cached_actor(second)
    controller._actor_started("process 0")
    return second, begin(controller)


def test_a_process_that_starts_slowly_is_waited_for_and_no_other_is_started(controller: Any) -> None:
    second, fourth = begin_slowly(controller)
    assert fourth not in controller._trial_to_actor
    controller._actor_started("process 1")
    assert controller._maybe_reuse_cached_actor(fourth)
    assert controller._trial_to_actor == {second: "process 0", fourth: "process 1"}
    assert controller.requested == ["process 0", "process 1"]


def test_a_process_that_dies_before_it_is_there_is_replaced(controller: Any) -> None:
    _, fourth = begin_slowly(controller)
    controller._actor_failed("process 1", RuntimeError())
    assert controller._trial_to_actor[fourth] == "process 2"


@pytest.mark.parametrize(("progressed", "failures"), [(True, 0), (False, 3)])
def test_failures_count_from_the_last_progress(controller: Any, progressed: bool, failures: int) -> None:
    controller._progressed = lambda stack: progressed
    trial = Trial()
    controller._process_trial_failure(trial, RuntimeError())
    assert trial.run_metadata.num_failures == failures


def test_what_tune_saves_has_nothing_that_json_has_not(
    controller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TuneController, "__getstate__", lambda self: {"kept": 1, **vars(self)})
    begin_slowly(controller)
    assert not controller.__getstate__().keys() & {"_unclaimed", "_progressed"}
