"""Ray for this process: an embedded one on loopback, or a cluster that is already there."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from raydnn.errors import ClusterError
from raydnn.launch.engine.embedded import few_processes
from raydnn.launch.engine.joining import joined_nodes
from raydnn.launch.engine.session_folder import session_folder, token_in
from raydnn.launch.engine.signals import handlers_kept
from raydnn.launch.engine.watching import watched
from raydnn.launch.runs.failures import described
from raydnn.spec.resources import Resources

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # One report per poll: the default of 2 s would hold a short epoch back.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # A worker whose process answers nothing for so long was stopped or lost, however long its steps may take.
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "45",
}
PRELOADED = ("raydnn.launch.worker.preloaded",)
"""What a process that trains stacks imports while it waits for the first."""
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


def prepare_environment(verbose: bool) -> None:
    """Set what Ray reads when it is imported; must run before anything imports ray."""
    os.environ.update(_QUIET)
    _silence(verbose)


def _silence(verbose: bool) -> None:
    if not verbose:
        for name in ("ray", "ray.tune", "ray.train", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def ray_running(
    address: str | None,
    verbose: bool,
    cpus: int | None = None,
    preloaded: Sequence[str] = (),
    ahead: Future[None] | None = None,
) -> Iterator[None]:
    """Start an embedded Ray on loopback, or join the cluster at `address`; left again at the end.

    Args:
        address: A cluster's address (`auto` for the one on this machine), or None for an embedded Ray.
        verbose: Whether Ray may print.
        cpus: Most cores that will be used at once: an embedded Ray starts a process for each. None: all.
        preloaded: Modules that the processes of an embedded Ray import while they wait for work.
        ahead: The start of one by `ray_ahead`, which is then waited for.

    Raises:
        ClusterError: The cluster cannot be reached or refuses.
    """
    with ExitStack() as stack:
        with handlers_kept():  # Ray's own would end the process at once
            if ahead is not None:
                ahead.result()
                import ray

                stack.callback(ray.shutdown)
            elif address is None:
                stack.enter_context(_embedded(verbose, cpus, preloaded))
            else:
                stack.enter_context(_joined(address, verbose))
        if address is None:
            stack.enter_context(watched(_processes()))
        yield


@contextmanager
def ray_ahead(verbose: bool) -> Iterator[Future[None]]:
    """Start a sweep's embedded Ray, with a process for each core, while this block does what it can without.

    Args:
        verbose: Whether Ray may print.

    Yields:
        What `ray_running` takes as `ahead`.
    """
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        _import_ray(None, verbose)
        start = thread.submit(stack.enter_context, _embedded(verbose, None, PRELOADED))
        try:
            yield start
        finally:
            start.exception()


def _import_ray(address: str | None, verbose: bool) -> None:
    """Import Ray, with what it reads meanwhile."""
    prepare_environment(verbose)
    if address is None:
        os.environ.update(_LOOPBACK_ONLY)
    import ray  # noqa: F401

    _silence(verbose)  # again: importing Ray has raised its voice


@contextmanager
def _embedded(verbose: bool, cpus: int | None, preloaded: Sequence[str]) -> Iterator[None]:
    """Start an embedded Ray, as `ray_running` says, and end it."""
    _import_ray(None, verbose)
    import ray
    from ray._private.utils import get_num_cpus

    with session_folder() as folder, token_in(folder):
        try:
            with _told("an embedded Ray cannot be started"), few_processes(verbose):
                ray.init(
                    "local",
                    num_cpus=None if cpus is None else min(cpus, get_num_cpus()),
                    include_dashboard=False,
                    logging_level="INFO" if verbose else "CRITICAL",
                    log_to_driver=verbose,
                    configure_logging=verbose,
                    _temp_dir=str(folder),
                    _system_config={"preload_python_modules": list(preloaded)},
                )
            _tighten_token()
            yield
        finally:
            ray.shutdown()


def _processes() -> dict[str, list[Any]]:
    """The processes of the embedded Ray, by kind."""
    from ray._private import worker

    processes: dict[str, list[Any]] = worker._global_node.all_processes
    return processes


@contextmanager
def _joined(address: str, verbose: bool) -> Iterator[None]:
    """Join a cluster, and leave it."""
    _import_ray(address, verbose)
    import ray

    level = "INFO" if verbose else "CRITICAL"
    with _told(f"the cluster at {address} cannot be used"):
        ray.init(address, logging_level=level, log_to_driver=verbose, configure_logging=verbose)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in one line why Ray did not come up: it raises whatever its parts do, plain exceptions as well."""
    try:
        yield
    except ClusterError:
        raise
    except Exception as error:
        raise ClusterError(f"{what}: {described(error)}") from error


def slots(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trainings some machines can run side by side.

    Args:
        resources: What one training takes.
        nodes: What each machine has; a worker must fit on one of them.

    Raises:
        ClusterError: Not even one; the message names what is needed and what there is.
    """
    found = slots_of_nodes(resources, nodes)
    if found == 0:
        need = per_worker(resources)
        there = "; ".join(_amounts({name: node.get(name, 0) for name in need}) for node in nodes) or "nothing"
        raise ClusterError(
            f"one training does not fit: {resources.workers} worker(s) with {_amounts(need)} each are needed, "
            f"there is {there} (see `resources` in the job)"
        )
    return found


def slots_of_nodes(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trainings some machines can run side by side; 0 where not even one fits."""
    need = per_worker(resources)
    workers = sum(int(min(node.get(name, 0) // amount for name, amount in need.items())) for node in nodes)
    return workers // resources.workers


def per_worker(resources: Resources) -> dict[str, float]:
    """What one worker takes, in Ray's terms."""
    need = {"CPU": float(resources.cpus_per_worker)}
    if resources.gpus_per_worker:
        need["GPU"] = float(resources.gpus_per_worker)
    return need


def cluster_nodes() -> list[dict[str, float]]:
    """What each machine of the connected cluster has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def check_place(address: str | None, resources: Resources) -> None:
    """Check that a cluster, or this machine, takes us and can hold one training, before anything is made or started.

    Args:
        address: A cluster's address, or None for this machine.
        resources: What one training takes.

    Raises:
        UsageError: The address is of a kind that cannot be joined.
        ClusterError: It cannot be joined, or is too small; says what is needed and what there is.
    """
    if address is None:
        slots_here(resources)
    else:
        prepare_environment(verbose=True)
        slots(resources, joined_nodes(address))


def slots_here(resources: Resources) -> int:
    """How many trainings this machine can run side by side.

    Raises:
        ClusterError: Not even one.
    """
    gpus = 0
    if resources.gpus_per_worker:
        from torch.cuda import device_count

        gpus = device_count()
    return slots(resources, [{"CPU": os.cpu_count() or 1, "GPU": gpus}])


def _amounts(amounts: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in amounts.items())


def _tighten_token() -> None:
    """Ray writes its token readable by everyone; only the owner needs it."""
    with suppress(OSError, RuntimeError):  # no home
        token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        if token.is_file() and token.stat().st_mode & 0o077:
            token.chmod(stat.S_IRUSR | stat.S_IWUSR)
