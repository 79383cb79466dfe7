"""An embedded Ray of few processes: without what only a cluster, a dashboard or a log on the terminal needs.

On two cores Ray's start and its imports are most of a short sweep's time. This holds for the Ray that is pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic, sleep
from typing import Any

PATIENCE_SECONDS = 10.0
"""Longest wait for processes that may never come; the sweep then goes on without them."""


@contextmanager
def few_processes(verbose: bool) -> Iterator[None]:
    """Let a Ray that is started in this block have no autoscaler, no dashboard's server and no log monitor.

    Args:
        verbose: Whether workers' output is shown: then their logs are monitored.
    """
    from ray._private import node, parameter, services, utils

    replaced = [
        (parameter, "RayParams", partial(parameter.RayParams, no_monitor=True, include_log_monitor=verbose)),
        (node.Node, "start_api_server", _start_nothing),
        (services, "get_node", partial(_once_registered, services.get_node)),
        # The node's agent, for which the node waits, then imports nothing for a dashboard.
        (utils, "get_dashboard_dependency_error", lambda: ImportError("there is no dashboard")),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    for owner, name, replacement in replaced:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


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

    _await_processes()
    original = tune_controller._ActorClassCache
    tune_controller._ActorClassCache = ActorClasses
    try:
        yield
    finally:
        tune_controller._ActorClassCache = original


def _await_processes() -> None:
    """Wait until the processes that Ray starts ahead, one a core, are there: for actors it would start others."""
    import ray
    from ray._private.state import workers

    if not ray.is_initialized():
        return
    cores = int(ray.cluster_resources().get("CPU", 0))
    end = monotonic() + PATIENCE_SECONDS
    while len(workers()) < cores and monotonic() < end:
        sleep(0.05)


def _once_registered(get_node: Callable[[str, str], Any], gcs_address: str, node_id: str) -> Any:
    """Look a node up when it is there: Ray itself would look again only a second later."""
    from ray._private import services, state

    nodes = state.GlobalState()
    nodes._initialize_global_state(services._get_gcs_client_options(gcs_address))
    end = monotonic() + PATIENCE_SECONDS
    while all(node["NodeID"] != node_id for node in nodes.node_table()) and monotonic() < end:
        sleep(0.02)
    return get_node(gcs_address, node_id)


def _start_nothing(_node: Any, **_options: Any) -> None:
    """Stand in for the start of a process."""
