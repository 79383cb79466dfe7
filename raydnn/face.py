"""The commands as functions of Python: they take a job and overrides, watch like the terminal, and give the run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydnn.analysis.opened import OpenedRun
from raydnn.analysis.opened import open_run as open
from raydnn.cli.options import ADDRESS_VARIABLE
from raydnn.cli.printing.observer import Terminal
from raydnn.cli.printing.terminal import guarded_streams, outlast_the_terminal
from raydnn.cli.printing.wrecks import best_of
from raydnn.errors import UsageError
from raydnn.launch.observer import Observer, Silent
from raydnn.launch.request import Request
from raydnn.spec.reading.load import plain_value

if TYPE_CHECKING:
    from raydnn.procedures.plan import SweepPlan
    from raydnn.spec.reading.load import JobLike

__all__ = ["OpenedRun", "open", "plan", "submit", "sweep", "train"]

Overrides = Mapping[str, Any]


def train(
    job: JobLike | None = None,
    overrides: Overrides | None = None,
    *,
    resume: str | None = None,
    retry_failed: bool = False,
    storage: str | None = None,
    address: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
    **fields: Any,
) -> OpenedRun:
    """Train one network, as `raydnn train` does, and wait until it has ended.

    Args:
        job: The path of a job file, a mapping of its fields, or a spec; None with `resume`.
        overrides: Dotted path → value, such as {"optimizer.lr": 0.1}.
        resume: The run to go on with: its id, folder or address, or `latest`.
        retry_failed: With `resume`: train a trial again that failed.
        storage: Folder or address that holds the runs, whatever the job says.
        address: The Ray cluster to run on; None: what RAY_ADDRESS says, else this machine.
        quiet: Print nothing.
        verbose: Let Ray print.
        **fields: Overrides with `__` for the dot: optimizer__lr=0.1.

    Returns:
        The run.

    Raises:
        RaydnnError: Of the kind that the command's exit code says; one of its own if the training diverged.
    """
    from raydnn.launch.train import check_trained
    from raydnn.launch.train import train as run_training

    request = _request(job, _overrides(overrides, fields), address, resume, retry_failed, storage, verbose)
    with _watching(quiet) as observer:
        run = run_training(request, observer)
    check_trained(run)
    return OpenedRun(run)


def sweep(
    job: JobLike | None = None,
    overrides: Overrides | None = None,
    *,
    resume: str | None = None,
    extend: str | None = None,
    retry_failed: bool = False,
    storage: str | None = None,
    address: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
    **fields: Any,
) -> OpenedRun:
    """Search a job's space, as `raydnn sweep` does, and wait until it has ended.

    Args:
        job: As of `train`.
        overrides: As of `train`.
        resume: The run to go on with.
        extend: The run to extend, by what the overrides say.
        retry_failed: With `resume`: train the trials again that failed.
        storage: As of `train`.
        address: As of `train`.
        quiet: Print nothing.
        verbose: Let Ray print.
        **fields: As of `train`.

    Returns:
        The run.

    Raises:
        RaydnnError: Of the kind that the command's exit code says.
    """
    from raydnn.launch.sweep import sweep as run_sweep

    given = _overrides(overrides, fields)
    request = _request(job, given, address, resume, retry_failed, storage, verbose, extend)
    with _watching(quiet) as observer:
        run = run_sweep(request, observer).run
    best_of(run, 1)
    return OpenedRun(run)


def submit(
    job: str | Path,
    overrides: Overrides | None = None,
    *,
    address: str | None = None,
    insecure: bool = False,
    **fields: Any,
) -> str:
    """Send a job file and the present folder's code to a cluster, as `raydnn submit --no-wait` does.

    Args:
        job: The job file, in the present folder or below it.
        overrides: As of `train`.
        address: The head's dashboard, http://HEAD:8265; None: what RAY_ADDRESS says.
        insecure: Submit even to a cluster beyond loopback that serves anyone.
        **fields: As of `train`.

    Returns:
        The run's id.
    """
    from raydnn.launch.submit import submit as submit_to_cluster

    if not isinstance(job, str | Path):
        raise UsageError(f"job: a {type(job).__name__}; allowed: the path of a job file, which is sent along")
    return submit_to_cluster(Path(job), _overrides(overrides, fields), address, insecure).run_id


def plan(
    job: JobLike,
    overrides: Overrides | None = None,
    *,
    slots: int | None = None,
    quiet: bool = False,
    **fields: Any,
) -> SweepPlan:
    """Say what a job would take, as `raydnn plan` does.

    Args:
        job: As of `train`.
        overrides: As of `train`.
        slots: Stacks at once; None: as many as this machine can train.
        quiet: Print nothing.
        **fields: As of `train`.
    """
    from raydnn.launch.plan import plan as plan_job

    with _watching(quiet) as observer:
        return plan_job(_job(job), _overrides(overrides, fields), slots, observer)


@contextmanager
def _watching(quiet: bool) -> Iterator[Observer]:
    """Who watches; what cannot be printed ends no training."""
    if quiet:
        yield Silent()
        return
    with guarded_streams():
        outlast_the_terminal()
        yield Terminal()


def _request(
    job: JobLike | None,
    overrides: tuple[str, ...],
    address: str | None,
    resume: str | None,
    retry_failed: bool,
    storage: str | None,
    verbose: bool,
    extend: str | None = None,
) -> Request:
    """What is asked for, as the command line has it."""
    cluster, variable = _address(address)
    return Request(
        None if job is None else _job(job),
        overrides,
        resume=resume,
        address=cluster,
        storage=storage,
        verbose=verbose,
        address_variable=variable,
        retry_failed=retry_failed,
        extend=extend,
    )


def _job(job: JobLike) -> JobLike:
    """The job, if it is one.

    Raises:
        UsageError: It is neither a path nor a mapping nor a spec.
    """
    if isinstance(job, str | Path | Mapping) or hasattr(job, "model_dump"):
        return job
    raise UsageError(f"job: a {type(job).__name__}; allowed: the path of a job file, a mapping, or a spec")


def _address(address: str | None) -> tuple[str | None, str | None]:
    """The cluster that is meant, and the environment's variable that says so."""
    named = os.environ.get(ADDRESS_VARIABLE)
    return (address, None) if address is not None or not named else (named, ADDRESS_VARIABLE)


def _overrides(overrides: Overrides | None, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Overrides as the command line has them, `dotted.path=value`."""
    if overrides is not None and not isinstance(overrides, Mapping):
        raise UsageError(
            f"overrides: a {type(overrides).__name__}; allowed: a mapping of dotted paths to values"
        )
    dotted = {name.replace("__", "."): value for name, value in fields.items()}
    twice = sorted(dotted.keys() & (overrides or {}).keys())
    if twice:
        raise UsageError(f"{', '.join(twice)}: given as an override and by keyword; give it once")
    return tuple(f"{path}={_written(value)}" for path, value in {**(overrides or {}), **dotted}.items())


def _written(value: Any) -> str:
    """A value as YAML, of which JSON is a part but for what is infinite or not a number; `+N` is an extension's."""
    if isinstance(value, str) and re.fullmatch(r"\+[0-9]+", value):
        return value
    if isinstance(value, float) and not isfinite(value):
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    return json.dumps(value, ensure_ascii=False, default=plain_value)
