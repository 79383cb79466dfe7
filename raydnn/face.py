"""The commands as functions of Python: they take a job and overrides, watch like the terminal, and give the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydnn.analysis.opened import OpenedRun
from raydnn.analysis.opened import open_run as open
from raydnn.cli.printing.observer import Terminal
from raydnn.errors import UsageError
from raydnn.launch.observer import Observer, Silent
from raydnn.launch.request import Request

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
        address: The Ray cluster to run on; None: this machine.
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

    request = Request(
        job, _overrides(overrides, fields), resume, address, None, storage, verbose, retry_failed=retry_failed
    )
    run = run_training(request, _observer(quiet))
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
    request = Request(
        job, given, resume, address, None, storage, verbose, retry_failed=retry_failed, extend=extend
    )
    return OpenedRun(run_sweep(request, _observer(quiet)).run)


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

    return plan_job(job, _overrides(overrides, fields), slots, _observer(quiet))


def _observer(quiet: bool) -> Observer:
    return Silent() if quiet else Terminal()


def _overrides(overrides: Overrides | None, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Overrides as the command line has them, `dotted.path=value`."""
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
    return json.dumps(value, ensure_ascii=False, default=str)
