"""An embedded Ray of few processes: without what only a cluster, a dashboard or a log on the terminal needs.

On two cores Ray's start and its imports are most of a short sweep's time. This holds for the Ray that is pinned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def few_processes(verbose: bool) -> Iterator[None]:
    """Let a Ray that is started in this block have no autoscaler, no dashboard's server and no log monitor.

    Args:
        verbose: Whether workers' output is shown: then their logs are monitored.
    """
    from ray._private import node, parameter

    parameters, start_api_server = parameter.RayParams, node.Node.start_api_server
    parameter.RayParams = partial(parameters, no_monitor=True, include_log_monitor=verbose)
    node.Node.start_api_server = _start_nothing
    try:
        yield
    finally:
        parameter.RayParams, node.Node.start_api_server = parameters, start_api_server


@contextmanager
def idle_processes_used() -> Iterator[None]:
    """Let Tune's trials in this block take the processes that Ray has waiting.

    Tune gives its actors a runtime environment that repeats variables of the driver's, and no waiting process has
    one; on one machine every process has the driver's variables anyway.
    """
    import ray
    from ray.tune.execution import tune_controller

    class ActorClasses(tune_controller._ActorClassCache):
        def get(self, trainable: type) -> Any:
            return self._cache.setdefault(trainable, ray.remote(trainable))

    original = tune_controller._ActorClassCache
    tune_controller._ActorClassCache = ActorClasses
    try:
        yield
    finally:
        tune_controller._ActorClassCache = original


def _start_nothing(_node: Any, **_options: Any) -> None:
    """Stand in for the start of a process."""
