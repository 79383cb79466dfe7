"""What `train` and `sweep` share: the job to run is a file's, or that of a run to go on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raydnn.cli.options import find_run
from raydnn.errors import UsageError

if TYPE_CHECKING:
    from raydnn.spec.job import Job
    from raydnn.spec.load import LoadedJob
    from raydnn.store.run import Run


@dataclass(frozen=True)
class Given:
    """A job and its file's text; `loaded` is there where the job was read from a file just now."""

    job: Job
    text: str
    loaded: LoadedJob | None


def begun_or_resumed(
    command: str,
    path: Path | None,
    overrides: tuple[str, ...],
    resume: str | None,
    storage: str,
    require: Callable[[LoadedJob], None],
) -> tuple[Given, Run | None]:
    """Find the job: of a file for a new run, or of the run to go on with.

    Args:
        command: `train` or `sweep`, for messages.
        path: The job file, where one is given.
        overrides: `key=value` of the command line.
        resume: The run to go on with, where one is given.
        storage: Where to look for that run.
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
    if path is not None:
        loaded = load_job(path, overrides)
        require(loaded)
    if resume is None:
        if loaded is None:
            raise UsageError(f"raydnn {command}: JOB is missing; give a job file, or --resume RUN")
        return Given(loaded.job, loaded.text, loaded), None
    run = find_run(resume, storage if loaded is None else loaded.job.storage)
    resolved = run.resolved()
    if resolved["command"] != command:
        raise UsageError(
            f"run {run.run_id} is a {resolved['command']}; go on with `raydnn {resolved['command']}`"
        )
    job = Job.model_validate(resolved["job"])
    if loaded is not None and loaded.job != job:
        fields = [name for name in Job.model_fields if getattr(loaded.job, name) != getattr(job, name)]
        raise UsageError(
            f"--resume {run.run_id}: {path} differs from the run's own job in {', '.join(fields)}; "
            "leave the job file away, or start a new run"
        )
    return Given(job, "", loaded), run
