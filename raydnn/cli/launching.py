"""What `train` and `sweep` share: their options, and the job to run: a file's, or that of a run to go on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from raydnn import shell
from raydnn.cli.options import Settings, find_run, overrides_argument, pass_settings, storage_option
from raydnn.cli.resuming import check_resumable
from raydnn.cli.terminal import outlast_the_terminal, tell
from raydnn.errors import ClusterError, HungError, InterruptedRunError, StoreError, UsageError

if TYPE_CHECKING:
    from raydnn.search.packing import Stack
    from raydnn.spec.job import Job
    from raydnn.spec.load import LoadedJob
    from raydnn.spec.trial import TrialSpec
    from raydnn.store.run import Run

RETRY_FAILED = "--retry-failed"
ADDRESS_VARIABLE = "RAY_ADDRESS"


@dataclass(frozen=True)
class Launch:
    """What the user asked `train` or `sweep` to do."""

    job: Path | None
    overrides: tuple[str, ...]
    resume: str | None
    """The run to go on with."""
    address: str | None
    """The Ray cluster to run on; None: an embedded Ray."""
    run_id: str | None
    """Id of the new run; None: a fresh one."""
    storage: str
    """Where the run to go on with is."""
    verbose: bool
    address_variable: str | None = None
    """The environment's variable that gave the address; None: the user did."""
    retry_failed: bool = False
    """Whether the trials that failed are trained again."""
    extend: str | None = None
    """The sweep to extend."""


def launch_options(command: Callable[[Launch], None]) -> Callable[..., None]:
    """Add the arguments and options of `Launch`."""

    @click.argument("job", metavar="[JOB]", required=False, type=click.Path(path_type=Path))
    @overrides_argument
    @click.option("--resume", metavar="RUN", help="Go on with a run that was interrupted.")
    @click.option(RETRY_FAILED, is_flag=True, help="With --resume: train the trials that FAILED again, too.")
    @click.option(
        "--address",
        metavar="ADDRESS",
        envvar=ADDRESS_VARIABLE,
        help="Run on this Ray cluster instead of here.",
    )
    @click.option("--run-id", hidden=True, help="Id of the new run; `submit` sets it.")
    @storage_option
    @pass_settings
    def with_options(settings: Settings, /, **given: Any) -> None:
        outlast_the_terminal()
        source = click.get_current_context().get_parameter_source("address")
        variable = ADDRESS_VARIABLE if source == ParameterSource.ENVIRONMENT else None
        command(Launch(verbose=settings.verbose, address_variable=variable, **given))

    return update_wrapper(with_options, command)


@dataclass(frozen=True)
class Given:
    """A job and its file's text; `loaded` is there where the job was read from a file just now."""

    job: Job
    text: str
    loaded: LoadedJob | None


def begun_or_resumed(
    command: str, launch: Launch, require: Callable[[LoadedJob], None]
) -> tuple[Given, Run | None]:
    """Find the job: of a file for a new run, or of the run to go on with.

    Args:
        command: `train` or `sweep`, for messages.
        launch: What the user asked for.
        require: Refuses a job of the other command.

    Returns:
        The job, and the run to go on with or None for a new one.

    Raises:
        UsageError: Neither a job nor a run is given, or both are and differ, or the run is of the other command.
        JobError: The job file is wrong.
        NotFoundError: There is no such run.
    """
    from raydnn.spec.job import Job
    from raydnn.spec.load import load_job

    loaded = None
    if launch.job is not None:
        loaded = load_job(launch.job, launch.overrides)
        require(loaded)
    if launch.retry_failed and launch.resume is None:
        raise UsageError(
            f"raydnn {command}: {RETRY_FAILED} needs --resume RUN, the run with the failed trials"
        )
    if launch.resume is None:
        if loaded is None:
            or_extend = " or --extend RUN" if command == "sweep" else ""
            raise UsageError(f"raydnn {command}: JOB is missing; give a job file, or --resume RUN{or_extend}")
        return Given(loaded.job, loaded.text, loaded), None
    run = find_run(launch.resume, launch.storage if loaded is None else loaded.job.storage)
    check_resumable(run)
    job = job_of(run, command)
    if loaded is not None and loaded.job != job:
        fields = [name for name in Job.model_fields if getattr(loaded.job, name) != getattr(job, name)]
        raise UsageError(
            f"--resume {run.run_id}: {launch.job} differs from the run's own job in {', '.join(fields)}; "
            "leave the job file away, or start a new run"
        )
    return Given(job, "", loaded), run


def job_of(run: Run, command: str) -> Job:
    """The job of a run.

    Raises:
        UsageError: The run is of another command.
    """
    own = run.resolved().get("command")
    if own is not None and own != command:
        raise UsageError(f"run {run.run_id} is a {own}; go on with `raydnn {own}`")
    return run.job()


@contextmanager
def resumable(kind: str, run: Run) -> Iterator[None]:
    """Say how to go on with a run that ended early, or where its failure is told.

    Args:
        kind: `train` or `sweep`.
        run: The run.
    """
    try:
        yield
    except UsageError:  # another process drives it
        raise
    except Exception as error:
        mine = not isinstance(error, InterruptedRunError | ClusterError | HungError | StoreError)
        if mine and _has_ended(run):
            tell(f"what failed, and where: {shell.command('logs', run.uri, '--errors')}", err=True)
            tell(f"once that is mended: {shell.command(kind, '--resume', run.uri, RETRY_FAILED)}", err=True)
        else:
            tell(f"resume with: {shell.command(kind, '--resume', run.uri)}", err=True)
        raise


def retry(run: Run, generations: Sequence[Sequence[Stack]]) -> None:
    """Let the failed trials of a run be trained again, and say how many there are."""
    from raydnn.launch.reopening import reopen

    tell(f"trains {reopen(run, generations)} failed trial(s) again", err=True)


def _has_ended(run: Run) -> bool:
    """Whether every trial of a run has ended, as far as its store can tell."""
    from raydnn.launch.runs import ENDED
    from raydnn.store.read import read

    try:
        return set(read(run.location, "trials", ["state"])["state"].to_pylist()) <= set(ENDED)
    except StoreError:
        return False


def print_selu_warnings(trials: Sequence[TrialSpec]) -> None:
    """Say which of SELU's conditions are broken: one line a field, the first trial's, and in how many trials."""
    from raydnn.spec.selu import selu_warnings

    broken: dict[str, list[str]] = {}
    for trial in trials:
        for warning in selu_warnings(trial):
            broken.setdefault(warning.partition(":")[0], []).append(warning)
    for warnings in broken.values():
        share = f" ({len(warnings)} of {len(trials)} trials)" if len(trials) > 1 else ""
        tell(f"warning: {warnings[0]}{share}", err=True)
