"""The configurations that a sweep begins with: its job's own values, and the best of other runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from raydnn.analysis.tables import top
from raydnn.errors import JobError, Problem, UsageError
from raydnn.space.inverse import OutsideError, assignment_of
from raydnn.space.space import Assignment, Space, build_space, make_trial
from raydnn.spec.job import SweepJob
from raydnn.spec.reading.positions import Positions
from raydnn.spec.search import BEST
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run

FIELD = "search.start"


def start_assignments(
    space: Space, job: SweepJob, positions: Positions, find: Callable[[str], Run]
) -> tuple[Assignment, ...]:
    """The assignments that `search.start` stands for, in its order.

    What the space fixes or leaves to the job is the job's own, even where it is another one in the other run, unless
    that run searched it.

    Args:
        space: The space.
        job: Its job.
        positions: Where its fields stand, for the messages.
        find: Opens a run by what the user wrote.

    Raises:
        JobError: A configuration lies outside of the space; it names trial, parameter, value and what is allowed.
        NotFoundError: There is no such run.
        UsageError: No trial of the other run has come to an end.
    """
    found: list[Assignment] = []
    problems: list[Problem] = []
    for written in job.search.start:
        best = BEST.fullmatch(written)
        given = _best(find(best["run"]), int(best["count"])) if best else [("base", make_trial(job, {}), ())]
        for name, trial, held in given:
            try:
                found.append(assignment_of(space, job, trial, held))
            except OutsideError as error:
                problems.append(Problem(positions.of(FIELD), FIELD, f"{name}: {error}"))
    if problems:
        raise JobError(problems)
    return tuple(found)


def _best(run: Run, count: int) -> Iterator[tuple[str, TrialSpec, Collection[str]]]:
    """What to call each of the best configurations of a run, the configuration, and what the run searched."""
    ids = top(run, count)["trial_id"].to_pylist()
    if not ids:
        raise UsageError(f"{FIELD}: no trial of run {run.run_id} has come to an end")
    rows = read(run.location, "trials", ["trial_id", "config_json"]).to_pylist()
    written = {row["trial_id"]: row["config_json"] for row in rows}
    held = _searched(run)
    for trial_id in ids:
        yield f"trial {trial_id} of run {run.run_id}", TrialSpec.from_json(written[trial_id]), held


def _searched(run: Run) -> set[str]:
    """The paths that a run searched, in any of its segments."""
    resolved = run.resolved()
    jobs = [run.job(each["job"]).as_sweep() for each in resolved.get("segments", [resolved])]
    return {
        parameter.path
        for job in jobs
        if job is not None
        for parameter in build_space(_without_number(job), Positions({})).parameters
    }


def _without_number(job: SweepJob) -> SweepJob:
    """A job whose space is built whatever its size."""
    return job.model_copy(update={"search": job.search.model_copy(update={"trials": 1})})
