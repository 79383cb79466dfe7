"""Runs from beginning to end: made in the store, trained on Ray, left in order whatever happens."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from raydnn.errors import ClusterError, InterruptedRunError, StoreError, UsageError, UserCodeError, first_line
from raydnn.launch.runs.failures import told
from raydnn.launch.runs.fingerprints import fingerprints, versions
from raydnn.launch.runs.lease import Lease, leased
from raydnn.launch.runs.signals import interruptible
from raydnn.search.packing import StackPlan
from raydnn.space.conditional import Assignment
from raydnn.space.trial import make_trial
from raydnn.spec.job import Job, SweepJob
from raydnn.store.commit import commit_trials, next_attempt
from raydnn.store.compact import compact
from raydnn.store.read import read
from raydnn.store.rows import trial_row
from raydnn.store.run import Run, create_run
from raydnn.store.states import ENDED, State
from raydnn.store.storage import files
from raydnn.store.storage.files import Location
from raydnn.training.stack.member import trial_id

LOST = {
    "state": State.PREEMPTED,
    "stop_reason": "lost",
    "error_type": "WorkerDied",
    "error": "its process died again and again before it had trained another epoch",
}
"""State of a trial that Ray gave up."""


def begin(
    job: Job,
    job_text: str,
    run_id: str,
    command: str,
    plans: Sequence[StackPlan],
    space: Any = None,
    expected: int | None = None,
    start: Sequence[Assignment] = (),
    examples: Mapping[str, int] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Run:
    """Make a run's folder and its trials, all of them waiting.

    Args:
        job: The job, overrides applied.
        job_text: The job file as given.
        run_id: The run's id.
        command: `train` or `sweep`.
        plans: The run's stacks; of a sweep that learns, the first generation's.
        space: What a sweep searches, as JSON values.
        expected: Number of all trials, also of later generations; None: those of the stacks.
        start: The configurations that a sweep begins with.
        examples: Part of the data → number of its examples.
        facts: What the run keeps of the data: the names of `classes` and `columns`, the `target_scale`.
    """
    sweep = job.as_sweep()
    metric = sweep.search.metric if sweep else "validation_loss"
    mode = sweep.search.direction if sweep else "min"
    resolved = {
        "command": command,
        "metric": metric,
        "mode": mode,
        "job": job.model_dump(mode="json"),
        "training": make_trial(job, {}).model_dump(mode="json"),
        "space": space,
        "examples": dict(examples or {}),
        **(facts or {}),
        "trials": expected or sum(len(plan.trials) for plan in plans),
        **({"segments": [_first_segment(sweep, plans, start)]} if sweep else {}),
        "versions": versions(),
        "fingerprints": fingerprints(job),
        "git_commit": _git_commit(),
    }
    return create_run(job.storage, run_id, job_text, resolved, lambda run: commit_pending(run, plans))


def _first_segment(job: SweepJob, plans: Sequence[StackPlan], start: Sequence[Assignment]) -> dict[str, Any]:
    trials = job.search.trials or sum(len(plan.leaders) for plan in plans)
    return segment_json(job, trials, start)


def segment_json(job: Job, trials: int, start: Sequence[Assignment]) -> dict[str, Any]:
    """A segment of a sweep as JSON values, for resolved.json.

    Args:
        job: Its job.
        trials: Configurations that it adds.
        start: Those that come first.
    """
    return {"job": job.model_dump(mode="json"), "trials": trials, "start": list(start)}


def commit_pending(run: Run, plans: Sequence[StackPlan]) -> None:
    """Commit the trials of new stacks, all of them waiting."""
    for plan in plans:
        rows = [
            trial_row(
                run, trial_id(n), n, spec, state=State.PENDING, stage=plan.stage.name, repeat=plan.repeat(n)
            )
            for n, spec in plan.trials
        ]
        commit_trials(run, plan.number, 0, rows)


@contextmanager
def driving(run: Run, plans: Sequence[StackPlan]) -> Iterator[None]:
    """The time in which this process drives a run: noted in the run's folder, and left in order.

    SIGTERM and SIGHUP count as Ctrl-C. Whatever ends it, trials that had not ended are marked: FAILED where the
    user's code raised the error, else PREEMPTED: the run can be resumed. A run that ended is compacted.

    Raises:
        InterruptedRunError: The run was interrupted.
        ClusterError: Ray failed, or trials lost their processes too often.
        UsageError: Another process drives it, or has taken it over.
    """
    with interruptible(), leased(run) as lease:
        files.remove_tree(run.scratch)
        with _in_order(run, plans, lease):
            yield


@contextmanager
def _in_order(run: Run, plans: Sequence[StackPlan], lease: Lease) -> Iterator[None]:
    """Whatever ends this block, the run's trials and files are left as `driving` says."""
    try:
        yield
    except KeyboardInterrupt:
        if lease.lost:
            raise UsageError(
                f"run {run.run_id} was taken over by another process while this one did not answer"
            ) from None
        mark(run, plans, state=State.PREEMPTED, stop_reason="interrupted")
        raise InterruptedRunError("interrupted; everything trained so far is committed") from None
    except Exception as error:
        said = told(error)
        marked = _mark_error(run, plans, said)
        if said is error or not marked:
            raise
        raise said from error
    else:
        check_none_lost(run, plans)
        compact(run)
    finally:
        with suppress(StoreError):
            files.remove_tree(run.scratch)


def check_none_lost(run: Run, plans: Sequence[StackPlan]) -> None:
    """Mark the trials that nobody has ended: their processes died again and again.

    Raises:
        ClusterError: There are some.
    """
    lost = mark(run, plans, **LOST)
    if lost:
        others = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise ClusterError(
            f"trials {', '.join(map(trial_id, lost[:3]))}{others}: {LOST['error']}, as when memory runs out or a "
            "machine is lost"
        )


def _mark_error(run: Run, plans: Sequence[StackPlan], error: Exception) -> bool:
    """Mark the trials that an error has left; whether there were any, or it is not known."""
    mine = isinstance(error, UserCodeError)
    try:
        marked = mark(
            run,
            plans,
            state=State.FAILED if mine else State.PREEMPTED,
            stop_reason="error",
            error_type=getattr(error, "error_type", type(error).__name__),
            error=first_line(error),
        )
    except StoreError:
        # What is full or broken may not take the marks either; the error is what the user must see.
        return True
    return bool(marked)


def ray_files(run: Run) -> Location:
    """The folder of Ray's own files of a run; nothing in it is ever read again, for the store is the record."""
    return run.scratch / "ray"


def mark(run: Run, plans: Sequence[StackPlan], **state: Any) -> list[int]:
    """Give the trials that have not ended a state; those that have keep theirs.

    Returns:
        The numbers of those that have not.
    """
    ended = ended_stacks(run, plans)
    plans = [plan for plan in plans if plan.number not in ended]
    rows = {row["number"]: row for row in read(run.location, "trials").to_pylist()} if plans else {}
    marked = []
    for plan in plans:
        of_stack = [rows[number] for number, _ in plan.trials if number in rows]
        left = [row["number"] for row in of_stack if row["state"] not in ENDED]
        if left:
            changed = [{**row, **state} if row["number"] in left else row for row in of_stack]
            attempt = next_attempt(run, plan.number)
            commit_trials(
                run, plan.number, attempt, [{**row, "run_id": None, "attempts": None} for row in changed]
            )
            marked += left
    return marked


def ended_stacks(run: Run, plans: Sequence[StackPlan]) -> set[int]:
    """The stacks whose trials have all ended, by the store."""
    table = read(run.location, "trials", ["number", "state"])
    states = dict(zip(table["number"].to_pylist(), table["state"].to_pylist(), strict=True))
    return {plan.number for plan in plans if all(states.get(number) in ENDED for number, _ in plan.trials)}


def _git_commit() -> str | None:
    """The commit of the folder the job is run in, if it is a git repository."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
