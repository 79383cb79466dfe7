"""A sweep: from what is asked for to a run whose trials have ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from raydnn.launch.checking import checked_engine
from raydnn.launch.extending import extension
from raydnn.launch.hints import resumable, retry, trial_warnings
from raydnn.launch.request import Request, begun_or_resumed, positions_of
from raydnn.launch.runs.resuming import id_of_new
from raydnn.store.finding import find_run

if TYPE_CHECKING:
    from raydnn.launch.engine.engine import Engine
    from raydnn.launch.observer import Observer
    from raydnn.search.segments import Segment
    from raydnn.spec.job import SweepJob
    from raydnn.spec.reading.load import Positions
    from raydnn.spec.trial import TrialSpec
    from raydnn.store.run import Run

FEW_CORES = 4
"""With so few, a process more than there are stacks costs less than waiting until it is known how many there are."""


@dataclass(frozen=True)
class Swept:
    """A sweep that has ended."""

    run: Run
    epochs_possible: int
    """Epochs that all its trials together could have been trained."""


def sweep(request: Request, observer: Observer) -> Swept:
    """Search a job's space with Ray Tune: a new run, one that is gone on with, or one that is extended.

    Args:
        request: What is asked for.
        observer: Watches.

    Raises:
        UsageError, JobError, DataError, NotFoundError, ClusterError, StoreError, InterruptedRunError
    """
    run, segments, text, positions = _asked_for(request)
    job = segments[-1].job
    engine = checked_engine(request, run, job.resources, observer)

    from raydnn.spec.reading.placing import placed

    with placed(positions), engine.ahead() if _fills_cores(request, job) else nullcontext():
        return _search(request, observer, run, segments, text, engine)


def _search(
    request: Request,
    observer: Observer,
    run: Run | None,
    segments: Sequence[Segment],
    text: str,
    engine: Engine,
) -> Swept:
    """Propose, pack and train.

    Args:
        request: What is asked for.
        observer: Watches.
        run: The run to go on with; None: a new one.
        segments: What the sweep is made of.
        text: A new job's text.
        engine: What trains.

    Returns:
        The run, and how many epochs its trials could be trained together.
    """
    from raydnn.launch.worker.importing import collector_resting

    with collector_resting():
        from raydnn.data.load import load_dataset
        from raydnn.launch.runs.runs import begin, driving
        from raydnn.launch.runs.segments import keep
        from raydnn.launch.runs.stacks import Stacks
        from raydnn.launch.tuning.sweep import all_ended, sweep_run
        from raydnn.launch.worker.shared_dataset import share
        from raydnn.nn.models.sequences import check_inputs
        from raydnn.search.algorithms.registry import chained
        from raydnn.store.storage.disk import check_space
        from raydnn.store.storage.files import locate
        from raydnn.training.stack.footprint import most_disk_bytes
        from raydnn.training.stack.parts import share_of_mixed, stack_limit
        from raydnn.training.stack.summary import check_loss, unknown_roles

    job = segments[-1].job
    search = job.search
    dataset = load_dataset(job.data)
    fits = stack_limit(search.stack_memory_gib, dataset, job.resources.gpus_per_worker)
    of_mixed = share_of_mixed(dataset, job.resources.gpus_per_worker)
    stacks = Stacks(chained(segments), search.stack, fits, of_mixed)
    trials = [trial for plan in stacks.plans for _, trial in plan.trials]
    for trial in {trial.loss: trial for trial in trials}.values():
        check_loss(trial)
    for trial in trials:
        check_inputs(trial, dataset)
    for unknown in unknown_roles(trials, dataset):
        observer.note(unknown)
    shared = share(job.data, dataset)
    needed = most_disk_bytes(([trial for _, trial in plan.trials] for plan in stacks.plans), dataset)
    check_space(locate(job.storage) if run is None else run.location, needed)
    if run is None:
        new_id, space = id_of_new(request.run_id, job), segments[0].space.tree()
        start = segments[0].start
        of_data = dataset.examples, dataset.facts()
        run = begin(job, text, new_id, "sweep", stacks.plans, space, stacks.expected, start, *of_data)
    elif request.extend is not None:
        before = run.resolved()["trials"]
        keep(run, segments, stacks.expected)
        observer.note(f"run {run.run_id}: extended from {before} to {stacks.expected} trials")
    first = "" if stacks.over else f", the first {len(trials)}"
    observer.note(
        f"run {run.run_id}: {stacks.expected} trials{first} in {len(stacks.plans)} stacks, in {run.uri}"
    )
    for line in trial_warnings(trials, dataset.examples["train"]):
        observer.note(line)
    if dataset.target_scale is not None:
        observer.note(str(dataset.target_scale))
    epochs = _most_epochs(trials, stacks.expected, segments)
    jobs = [segment.job for segment in segments]
    going_on = resumable("sweep", run, request.address, observer)
    with going_on, observer.sweep(run, stacks.expected, epochs), driving(run, stacks.plans):
        if request.retry_failed:
            all_ended(run, stacks)  # proposes again what has failed
            retry(run, stacks.generations, observer)
        sweep_run(run, jobs, stacks, shared, engine)
    return Swept(run, epochs)


def _fills_cores(request: Request, job: SweepJob) -> bool:
    """Whether every core of this machine will have a stack, or nearly so.

    Ray, whose start takes as long as a short sweep, is then started with a process for each, before it is known how
    many stacks there are.
    """
    search = job.search
    cores, trials = os.cpu_count() or 1, search.trials or 0
    stacks = trials if cores <= FEW_CORES else ceil(trials / search.stack)
    return request.resume is None and stacks * job.resources.cpus_per_worker >= cores


def _asked_for(request: Request) -> tuple[Run | None, list[Segment], str, Positions]:
    """The run to extend or to go on with, or None for a new one; its segments, a new job's text, positions."""
    from raydnn.launch.runs.segments import begun, kept
    from raydnn.spec.reading.load import require_sweep

    if request.extend is not None:
        run, segments = extension(request, request.extend)
        return run, segments, "", positions_of(run)
    given, begun_run = begun_or_resumed("sweep", request, require_sweep)
    if begun_run is not None:
        return begun_run, kept(begun_run), given.text, given.positions
    segment = begun(given, lambda name: find_run(name, given.job.storage))
    return None, [segment], given.text, given.positions


def _most_epochs(trials: Sequence[TrialSpec], expected: int, segments: Sequence[Segment]) -> int:
    """Epochs that all trials together can be trained, where the first ones are as long as the others on average."""
    from raydnn.spec.checks.contradictions import epochs_of

    mean = sum(trial.train.epochs for trial in trials) / len(trials) - epochs_of(segments[0].job)
    counts = [segment.trials or 1 for segment in segments]
    of_segments = [
        (mean + epochs_of(segment.job)) * count for segment, count in zip(segments, counts, strict=True)
    ]
    return round(expected * sum(of_segments) / sum(counts))
