"""Training one network: from what is asked for to a run that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raydnn.launch.checking import checked_engine
from raydnn.launch.hints import resumable, retry, trial_warnings
from raydnn.launch.request import Request, begun_or_resumed
from raydnn.launch.runs.resuming import id_of_new

if TYPE_CHECKING:
    from raydnn.launch.observer import Observer
    from raydnn.store.run import Run

TRIAL = "t00000"
"""Id of a training's only trial."""


def train(request: Request, observer: Observer) -> Run:
    """Train one network with Ray Train, or in this process where it has one worker.

    Args:
        request: What is asked for.
        observer: Watches.

    Returns:
        The run, whose one trial has ended, be it as it may: `check_trained` looks at that.

    Raises:
        UsageError, JobError, DataError, NotFoundError, ClusterError, StoreError, UserCodeError, InterruptedRunError
    """
    from raydnn.spec.reading.load import require_training

    given, run = begun_or_resumed("train", request, require_training)
    engine = checked_engine(request, run, given.job.resources, observer)

    # After the check, for these import torch.
    from raydnn.launch.runs.runs import begin, driving, ended_stacks
    from raydnn.search.packing import StackPlan
    from raydnn.spec.reading.placing import placed
    from raydnn.spec.trial import trial_of_job
    from raydnn.store.storage.disk import check_space
    from raydnn.store.storage.files import locate
    from raydnn.training.stack.summary import summarize

    trial = trial_of_job(given.job)
    with placed(given.positions):
        summary = summarize(trial)
    plans = [StackPlan(0, ((0, trial),))]
    check_space(locate(given.job.storage) if run is None else run.location, summary.disk_bytes)
    if run is None:
        new_id = id_of_new(request.run_id, given.job)
        run = begin(
            given.job, given.text, new_id, "train", plans, examples=summary.examples, facts=summary.facts
        )
    observer.summary(summary)
    for line in (*trial_warnings([trial], summary.examples["train"]), *summary.told):
        observer.note(line)
    observer.note(f"run {run.run_id} in {run.uri}")

    going_on = resumable("train", run, request.address, observer)
    with placed(given.positions), going_on, observer.training(run), driving(run, plans):
        if request.retry_failed:
            retry(run, [plans], observer)
        if ended_stacks(run, plans):
            observer.note(f"run {run.run_id} has ended; nothing is left to train")
        else:
            engine.train(run, trial, given.job.resources)
    return run


def check_trained(run: Run) -> None:
    """See whether a training ended as it should.

    Raises:
        RaydnnError: It diverged, failed, or was lost.
    """
    from raydnn.analysis.tables import show
    from raydnn.errors import RaydnnError
    from raydnn.store.states import FINISHED

    found = show(run, TRIAL)
    if found["state"] not in FINISHED:
        raise RaydnnError(
            f"the training {found['state'].lower()}: {found.get('error') or found['stop_reason']}"
        )
