"""`raydnn sweep --extend RUN`: what is asked for, checked before anything of the run is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raydnn.errors import UsageError
from raydnn.launch.request import Request, job_of
from raydnn.launch.runs.resuming import check_resumable
from raydnn.store.finding import STORAGE, find_run

if TYPE_CHECKING:
    from raydnn.search.segments import Segment
    from raydnn.store.run import Run


def extension(request: Request, run_name: str) -> tuple[Run, list[Segment]]:
    """Find the run to extend, and its segments with the one that is added.

    Args:
        request: What is asked for.
        run_name: What the user wrote for the run.

    Raises:
        UsageError: A run is to be resumed, too, or it is a training, or a process still drives it.
        JobError: The extension changes what must stay, adds nothing, or is wrong.
        NotFoundError: There is no such run.
    """
    from raydnn.launch.runs.lease import check_not_driven
    from raydnn.launch.runs.segments import configurations, extended, kept
    from raydnn.spec.reading.extend import extended_job

    if request.resume is not None:
        raise UsageError(
            "--extend and --resume are both given; --extend also goes on with what was interrupted"
        )
    run = find_run(run_name, request.storage or STORAGE)
    job_of(run, "sweep")
    job = run.sweep_job()
    check_not_driven(run)
    check_resumable(run)
    segments = kept(run)
    trials = configurations(run, segments)
    loaded = extended_job(job, trials, request.job, request.overrides, f"run {run.run_id}")
    added = extended(run, segments, loaded, lambda name: find_run(name, job.storage))
    return run, [*segments, added]
