"""What `train` and `sweep` share: their options, and the job to run: a file's, or that of a run to go on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from raydnn import shell
from raydnn.cli.options import (
    STORAGE,
    Settings,
    find_run,
    overrides_argument,
    overrides_of,
    pass_settings,
)
from raydnn.cli.printing.terminal import outlast_the_terminal, tell
from raydnn.cli.resuming import check_resumable
from raydnn.errors import (
    ClusterError,
    HungError,
    InterruptedRunError,
    JobError,
    Problem,
    StoreError,
    UsageError,
)

if TYPE_CHECKING:
    from raydnn.search.packing import StackPlan
    from raydnn.spec.job import Job
    from raydnn.spec.reading.load import LoadedJob, Positions
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
    storage: str | None
    """Where the runs are, of the new one or of that to go on with; None: where the job says, or `results`."""
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
    @click.option(
        "--storage", help="Folder (or s3://, gs:// address) that holds the runs, whatever the job says."
    )
    @pass_settings
    def with_options(
        settings: Settings, /, job: Path | None, overrides: tuple[str, ...], **given: Any
    ) -> None:
        outlast_the_terminal()
        source = click.get_current_context().get_parameter_source("address")
        variable = ADDRESS_VARIABLE if source == ParameterSource.ENVIRONMENT else None
        job, overrides = overrides_of(job, overrides)
        command(Launch(job, overrides, verbose=settings.verbose, address_variable=variable, **given))

    return update_wrapper(with_options, command)


@dataclass(frozen=True)
class Given:
    """A job and its file's text."""

    job: Job
    text: str
    loaded: LoadedJob | None
    """There where the job was read from a file just now."""
    positions: Positions
    """Where its fields stand: in the file, or in the run's resolved.json."""


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
    from raydnn.spec.reading.load import load_job

    loaded = None
    if launch.job is not None:
        loaded = load_job(launch.job, [*launch.overrides, *_storage_override(launch)])
        require(loaded)
    if launch.retry_failed and launch.resume is None:
        raise UsageError(
            f"{shell.command(command)}: {RETRY_FAILED} needs --resume RUN, the run with the failed trials"
        )
    if launch.resume is None:
        if loaded is None:
            or_extend = " or --extend RUN" if command == "sweep" else ""
            raise UsageError(
                f"{shell.command(command)}: JOB is missing; give a job file, or --resume RUN{or_extend}"
            )
        return Given(loaded.job, loaded.text, loaded, loaded.positions), None
    run = find_run(launch.resume, launch.storage or (loaded.job.storage if loaded else STORAGE))
    check_resumable(run)
    job = job_of(run, command)
    if loaded is None:
        _check_unchanged(command, run, job, launch.overrides)
    elif (given := loaded.job.model_copy(update={"storage": job.storage})) != job:
        fields = [name for name in Job.model_fields if getattr(given, name) != getattr(job, name)]
        raise UsageError(
            f"--resume {run.run_id}: {launch.job} differs from the run's own job in {', '.join(fields)}; "
            "leave the job file away, or start a new run"
        )
    return Given(job, "", loaded, positions_of(run)), run


def _storage_override(launch: Launch) -> list[str]:
    """What `--storage` says, as an override.

    Raises:
        UsageError: An override says it, too.
    """
    if launch.storage is None:
        return []
    if any(override.startswith("storage=") for override in launch.overrides):
        raise UsageError("--storage and storage=... are both given; give one of them")
    return [f"storage={json.dumps(launch.storage, ensure_ascii=False)}"]


def _check_unchanged(command: str, run: Run, job: Job, overrides: Sequence[str]) -> None:
    """Refuse overrides that would change the job of a run that is gone on with.

    Raises:
        JobError: They do, or they are wrong.
    """
    from raydnn.spec.reading.load import job_over
    from raydnn.spec.reading.source import COMMAND_LINE

    changed = [each for each in overrides if job_over(job, [each], f"run {run.run_id}").job != job]
    if not changed:
        return
    if command == "sweep":
        extend = shell.command("sweep", "--extend", run.uri, "search.trials=+N")
        more = f"with more trials or epochs it is extended: {extend}"
    else:
        more = (
            "a training with more epochs is a new run, since schedules depend on their number: "
            f"{shell.command('train', 'JOB', 'train.epochs=N')}"
        )
    message = f"--resume goes on with the run's own job and changes nothing of it; {more}"
    raise JobError(Problem(COMMAND_LINE, each.partition("=")[0], message) for each in changed)


def positions_of(run: Run) -> Positions:
    """The place of every field of a run's job: the file that holds it."""
    from raydnn.spec.reading.load import Positions

    return Positions({"": f"{run.uri}/resolved.json"})


def job_of(run: Run, command: str) -> Job:
    """The job of a run.

    Raises:
        UsageError: The run is of another command.
    """
    own = run.resolved().get("command")
    if own is not None and own != command:
        go_on = shell.command(own, "--resume", run.uri)
        raise UsageError(f"run {run.run_id} is a {own}; go on with `{go_on}`")
    return run.job()


@contextmanager
def resumable(kind: str, run: Run, address: str | None) -> Iterator[None]:
    """Say how to go on with a run that ended early, or where its failure is told.

    Args:
        kind: `train` or `sweep`.
        run: The run.
        address: The Ray cluster it runs on; None: an embedded Ray.
    """
    resume = ["--resume", run.uri, *(["--address", address] if address else [])]
    try:
        yield
    except UsageError:  # another process drives it
        raise
    except Exception as error:
        mine = not isinstance(error, InterruptedRunError | ClusterError | HungError | StoreError)
        if mine and _has_ended(run):
            tell(f"what failed, and where: {shell.command('logs', run.uri, '--errors')}", err=True)
            tell(f"once that is mended: {shell.command(kind, *resume, RETRY_FAILED)}", err=True)
        else:
            tell(f"resume with: {shell.command(kind, *resume)}", err=True)
        raise


def retry(run: Run, generations: Sequence[Sequence[StackPlan]]) -> None:
    """Let the failed trials of a run be trained again, and say how many there are."""
    from raydnn.launch.runs.reopening import reopen

    tell(f"trains {reopen(run, generations)} failed trial(s) again", err=True)


def _has_ended(run: Run) -> bool:
    """Whether every trial of a run has ended, as far as its store can tell."""
    from raydnn.launch.runs.runs import ENDED
    from raydnn.store.read import read

    try:
        return set(read(run.location, "trials", ["state"])["state"].to_pylist()) <= set(ENDED)
    except StoreError:
        return False


def print_trial_warnings(trials: Sequence[TrialSpec], examples: int) -> None:
    """Say what trials ask for that cannot work well: one line a field, the first trial's, and in how many trials.

    Args:
        trials: The trials.
        examples: Number of training examples.
    """
    from raydnn.spec.checks.lone import lone_example_warnings
    from raydnn.spec.checks.selu import selu_warnings

    broken: dict[str, list[str]] = {}
    for trial in trials:
        for warning in (*selu_warnings(trial), *lone_example_warnings(trial, examples)):
            broken.setdefault(warning.partition(":")[0], []).append(warning)
    for warnings in broken.values():
        share = f" ({len(warnings)} of {len(trials)} trials)" if len(trials) > 1 else ""
        tell(f"warning: {warnings[0]}{share}", err=True)
