"""What is asked of `train` and `sweep`, and the job to run: a file's or a mapping's, or that of a run to go on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raydnn import shell
from raydnn.errors import JobError, Problem, UsageError
from raydnn.launch.runs.resuming import check_resumable
from raydnn.store.finding import STORAGE, find_run

if TYPE_CHECKING:
    from raydnn.spec.job import Job
    from raydnn.spec.reading.load import JobLike, LoadedJob, Positions
    from raydnn.store.run import Run

RETRY_FAILED = "--retry-failed"


@dataclass(frozen=True)
class Request:
    """What is asked of `train` or `sweep`, from the command line or from Python."""

    job: JobLike | None
    """The job; None: that of the run to go on with."""
    overrides: tuple[str, ...] = ()
    """`dotted.path=value` each."""
    resume: str | None = None
    """The run to go on with."""
    address: str | None = None
    """The Ray cluster to run on; None: an embedded Ray."""
    run_id: str | None = None
    """Id of the new run; None: a fresh one."""
    storage: str | None = None
    """Where the runs are, of the new one or of that to go on with; None: where the job says, or `results`."""
    verbose: bool = False
    """Whether Ray may print."""
    address_variable: str | None = None
    """The environment's variable that gave the address; None: the user did."""
    retry_failed: bool = False
    """Whether the trials that failed are trained again."""
    extend: str | None = None
    """The sweep to extend."""


def named(job: JobLike | None) -> str:
    """What a job is called in messages."""
    return str(job) if isinstance(job, str | Path) else "the job"


def begun_or_resumed(
    command: str, request: Request, require: Callable[[LoadedJob], object]
) -> tuple[LoadedJob, Run | None]:
    """Find the job: of a file for a new run, or of the run to go on with.

    Args:
        command: `train` or `sweep`, for messages.
        request: What is asked for.
        require: Refuses a job of the other command.

    Returns:
        The job, with its place in its file or in the run's resolved.json; the run to go on with, None for a new one.

    Raises:
        UsageError: Neither a job nor a run is given, or both are and differ, or the run is of the other command.
        JobError: The job file is wrong.
        NotFoundError: There is no such run.
    """
    from raydnn.spec.job import Job
    from raydnn.spec.reading.load import LoadedJob, load_job

    loaded = None
    if request.job is not None:
        loaded = load_job(request.job, [*request.overrides, *_storage_override(request)])
        require(loaded)
    if request.retry_failed and request.resume is None:
        raise UsageError(
            f"{shell.command(command)}: {RETRY_FAILED} needs --resume RUN, the run with the failed trials"
        )
    if request.resume is None:
        if loaded is None:
            or_extend = " or --extend RUN" if command == "sweep" else ""
            raise UsageError(
                f"{shell.command(command)}: JOB is missing; give a job file, or --resume RUN{or_extend}"
            )
        return loaded, None
    run = find_run(request.resume, request.storage or (loaded.job.storage if loaded else STORAGE))
    check_resumable(run)
    job = job_of(run, command)
    if loaded is None:
        _check_unchanged(command, run, job, request.overrides)
    elif (given := loaded.job.model_copy(update={"storage": job.storage})) != job:
        fields = [name for name in Job.model_fields if getattr(given, name) != getattr(job, name)]
        raise UsageError(
            f"--resume {run.run_id}: {named(request.job)} differs from the run's own job in {', '.join(fields)}; "
            "leave the job file away, or start a new run"
        )
    return LoadedJob(job, "", positions_of(run)), run


def _storage_override(request: Request) -> list[str]:
    """What `--storage` says, as an override.

    Raises:
        UsageError: An override says it, too.
    """
    if request.storage is None:
        return []
    if any(override.startswith("storage=") for override in request.overrides):
        raise UsageError("--storage and storage=... are both given; give one of them")
    return [f"storage={json.dumps(request.storage, ensure_ascii=False)}"]


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
