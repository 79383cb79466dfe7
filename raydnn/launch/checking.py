"""The engine that is asked for, checked before anything of a run is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raydnn.launch.request import Request, named

if TYPE_CHECKING:
    from raydnn.launch.engine.engine import Engine
    from raydnn.launch.observer import Observer
    from raydnn.spec.resources import Resources
    from raydnn.store.run import Run


def checked_engine(request: Request, run: Run | None, resources: Resources, observer: Observer) -> Engine:
    """The engine on the cluster that is asked for, or on this machine, if it has what a job needs.

    Args:
        request: What is asked for.
        run: The run to go on with; None: a new one.
        resources: What the job needs.
        observer: Is told what is prepared.

    Raises:
        ClusterError: The cluster cannot be reached, or has too little.
    """
    what = named(request.job) if run is None else run.run_id
    observer.note(f"preparing {what} ...")  # what follows takes seconds

    from raydnn.launch.cluster.address import variable_named
    from raydnn.launch.engine.on_ray.engines import ray_engine

    engine = ray_engine(request.address, request.verbose)
    with variable_named(request.address_variable):
        engine.check(resources)
    return engine
