"""The Ray session of this process: an embedded one on loopback, or a cluster that is already there."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from raydnn.errors import ClusterError
from raydnn.launch.engine.session.few_processes import few_processes
from raydnn.launch.engine.session.session_folder import session_folder, token_in
from raydnn.launch.engine.session.watching import watched
from raydnn.launch.runs.failures import described
from raydnn.launch.runs.signals import handlers_kept

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
def embedded(
    verbose: bool,
    cpus: int | None = None,
    preloaded: Sequence[str] = (),
    ahead: Future[None] | None = None,
) -> Iterator[None]:
    """Have an embedded Ray on loopback, watched, and end it.

    Args:
        verbose: Whether Ray may print.
        cpus: Most cores that will be used at once: it starts a process for each. None: all.
        preloaded: Modules that its processes import while they wait for work.
        ahead: The start of one by `embedded_ahead`, which is then waited for.

    Raises:
        ClusterError: It cannot be started.
    """
    if ahead is None and is_running():
        yield  # a notebook's own, which is used and left as it is
        return
    with ExitStack() as stack:
        with handlers_kept():  # Ray's own would end the process at once
            if ahead is None:
                stack.enter_context(_started(verbose, cpus, preloaded))
            else:
                ahead.result()
                import ray

                stack.callback(ray.shutdown)
        stack.enter_context(watched(_processes()))
        yield


@contextmanager
def embedded_ahead(verbose: bool, preloaded: Sequence[str]) -> Iterator[Future[None]]:
    """Start an embedded Ray, with a process for each core, while this block does what it can without.

    Args:
        verbose: Whether Ray may print.
        preloaded: Modules that its processes import while they wait for work.

    Yields:
        What `embedded` takes as `ahead`.
    """
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        import_ray(verbose, loopback_only=True)
        start = thread.submit(stack.enter_context, _started(verbose, None, preloaded))
        try:
            yield start
        finally:
            start.exception()


@contextmanager
def joined(address: str, verbose: bool) -> Iterator[None]:
    """Join a cluster, and leave it.

    Args:
        address: Its address; `auto` for the one on this machine.
        verbose: Whether Ray may print.

    Raises:
        ClusterError: It cannot be reached or refuses.
    """
    import_ray(verbose, loopback_only=False)
    import ray

    level = "INFO" if verbose else "CRITICAL"
    with ExitStack() as stack:
        with handlers_kept(), _told(f"the cluster at {address} cannot be used"):
            ray.init(address, logging_level=level, log_to_driver=verbose, configure_logging=verbose)
            stack.callback(ray.shutdown)
        yield


def import_ray(verbose: bool, loopback_only: bool) -> None:
    """Import Ray, with what it reads meanwhile."""
    prepare_environment(verbose)
    if loopback_only:
        os.environ.update(_LOOPBACK_ONLY)
    import ray  # noqa: F401

    _silence(verbose)  # again: importing Ray has raised its voice


def is_running() -> bool:
    """Whether this process has a Ray already, as a notebook may."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _read_environment_again() -> None:
    """Have Ray read how it is to authenticate, which it does when it is imported, and no Ray may need it then.

    In a notebook Ray may have been imported long before, or a training in this process may have done without one.
    """
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _started(verbose: bool, cpus: int | None, preloaded: Sequence[str]) -> Iterator[None]:
    """Start an embedded Ray, as `embedded` says, and end it."""
    import_ray(verbose, loopback_only=True)
    import ray
    from ray._private.utils import get_num_cpus

    with session_folder() as folder, token_in(folder):
        _read_environment_again()
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
def _told(what: str) -> Iterator[None]:
    """Say in one line why Ray did not come up: it raises whatever its parts do, plain exceptions as well."""
    try:
        yield
    except ClusterError:
        raise
    except Exception as error:
        raise ClusterError(f"{what}: {described(error)}") from error


def cluster_nodes() -> list[dict[str, float]]:
    """What each machine of the connected cluster has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _tighten_token() -> None:
    """Ray writes its token readable by everyone; only the owner needs it."""
    with suppress(OSError, RuntimeError):  # no home
        token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        if token.is_file() and token.stat().st_mode & 0o077:
            token.chmod(stat.S_IRUSR | stat.S_IWUSR)
