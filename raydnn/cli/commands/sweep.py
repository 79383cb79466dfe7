"""`raydnn sweep`: a search, many trials in stacks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from math import ceil
from typing import TYPE_CHECKING

import click

from raydnn.cli.extending import extension
from raydnn.cli.launching import (
    Launch,
    begun_or_resumed,
    launch_options,
    positions_of,
    print_trial_warnings,
    resumable,
    retry,
)
from raydnn.cli.options import find_run
from raydnn.cli.printing.terminal import tell
from raydnn.cli.resuming import id_of_new
from raydnn.shell import command

if TYPE_CHECKING:
    from raydnn.launch.engine.engine import Engine
    from raydnn.search.segments import Segment
    from raydnn.spec.job import Job
    from raydnn.spec.reading.load import Positions
    from raydnn.spec.trial import TrialSpec
    from raydnn.store.run import Run

FEW_CORES = 4
"""With so few, a process more than there are stacks costs less than waiting until it is known how many there are."""


@click.command()
@click.option(
    "--extend", metavar="RUN", help="Go on with a run after its trials: more trials or epochs, another space."
)
@launch_options
def sweep(launch: Launch) -> None:
    """Search the space of JOB: train many trials and rank them; KEY=VALUE overrides a field of it.

    With --resume no JOB is needed: the run has it. --storage says where that run is. Trials whose own code or
    configuration failed stay FAILED, unless --retry-failed asks for them again; all else is gone on with.

    With --extend RUN the overrides (or a JOB of the run's name) change search.trials, search.space,
    search.algorithm, search.scheduler, search.start or train.epochs of the run's job; +N adds to what it has.
    A larger budget is another configuration, as schedules depend on it: with more epochs the finished trials are
    trained again from their beginning, the best first, before new ones, and search.trials counts them.

    \b
    Example:
      raydnn sweep jobs/digits-asha.yaml search.trials=128
      raydnn sweep --resume digits-asha-20260101-120000-1a2b
      raydnn sweep --extend digits-asha-20260101-120000-1a2b search.trials=+64
    """
    run, segments, text, positions = _asked_for(launch)
    tell(f"preparing {launch.job if run is None else run.run_id} ...", err=True)  # what follows takes seconds

    from raydnn.analysis.tables import top
    from raydnn.cli.printing.course import print_course
    from raydnn.cli.printing.trials import print_top
    from raydnn.cli.printing.wrecks import what_went_wrong
    from raydnn.errors import RaydnnError
    from raydnn.launch.cluster.address import variable_named
    from raydnn.launch.engine.on_ray.engines import ray_engine
    from raydnn.spec.reading.placing import placed

    job = segments[-1].job
    engine = ray_engine(launch.address, launch.verbose)
    with variable_named(launch.address_variable):
        engine.check(job.resources)
    with placed(positions), engine.ahead() if _fills_cores(launch, job) else nullcontext():
        run, epochs = _search(launch, run, segments, text, engine)
    best = top(run, 10)
    if best.num_rows == 0:
        raise RaydnnError(f"no trial of {run.run_id} came to an end\n{what_went_wrong(run).rstrip()}")
    print_top(best, "table")
    print_course(run, epochs)
    tell(what_went_wrong(run), err=True, end="")
    by_optimizer = f"select p_optimizer_name, {run.mode}(best_value) from trials group by 1"
    tell(
        f"next: {command('results', 'show', run.uri, best['trial_id'][0])}\n"
        f"      {command('results', 'sql', run.uri, by_optimizer)}",
        err=True,
    )


def _search(
    launch: Launch, run: Run | None, segments: Sequence[Segment], text: str, engine: Engine
) -> tuple[Run, int]:
    """Propose, pack and train.

    Args:
        launch: What the user asked for.
        run: The run to go on with; None: a new one.
        segments: What the sweep is made of.
        text: A new job's text.
        engine: What trains.

    Returns:
        The run, and how many epochs its trials could be trained together.
    """
    from raydnn.launch.worker.importing import collector_resting

    with collector_resting():
        from raydnn.cli.printing.progress import SweepLine, following
        from raydnn.data.load import load_dataset
        from raydnn.launch.runs.runs import begin, driving
        from raydnn.launch.runs.segments import keep
        from raydnn.launch.runs.stacks import Stacks
        from raydnn.launch.tuning.sweep import all_ended, sweep_run
        from raydnn.launch.worker.shared_dataset import share
        from raydnn.search.algorithms.registry import chained
        from raydnn.store.disk import check_space
        from raydnn.store.files import locate
        from raydnn.train.stack.footprint import most_disk_bytes
        from raydnn.train.stack.parts import stack_limit
        from raydnn.train.stack.summary import check_loss, unknown_roles

    job = segments[-1].job
    search = job.search
    assert search is not None
    dataset = load_dataset(job.data)
    fits = stack_limit(search.stack_memory_gib, dataset, job.resources.gpus_per_worker)
    stacks = Stacks(chained(segments), search.stack, fits)
    trials = [trial for plan in stacks.plans for _, trial in plan.trials]
    for trial in {trial.loss: trial for trial in trials}.values():
        check_loss(trial)
    for unknown in unknown_roles(trials, dataset):
        tell(unknown, err=True)
    shared = share(job.data, dataset)
    needed = most_disk_bytes(([trial for _, trial in plan.trials] for plan in stacks.plans), dataset)
    check_space(locate(job.storage) if run is None else run.location, needed)
    if run is None:
        new_id, space = id_of_new(launch.run_id, job), segments[0].space.tree()
        start = segments[0].start
        of_data = dataset.examples, dataset.facts()
        run = begin(job, text, new_id, "sweep", stacks.plans, space, stacks.expected, start, *of_data)
    elif launch.extend is not None:
        before = run.resolved()["trials"]
        keep(run, segments, stacks.expected)
        tell(f"run {run.run_id}: extended from {before} to {stacks.expected} trials", err=True)
    first = "" if stacks.over else f", the first {len(trials)}"
    tell(
        f"run {run.run_id}: {stacks.expected} trials{first} in {len(stacks.plans)} stacks, in {run.uri}",
        err=True,
    )
    print_trial_warnings(trials, dataset.examples["train"])
    if dataset.target_scale is not None:
        tell(str(dataset.target_scale), err=True)
    epochs = _most_epochs(trials, stacks.expected, segments)
    line = SweepLine(stacks.expected, epochs)
    jobs = [segment.job for segment in segments]
    with resumable("sweep", run, launch.address), following(run, line), driving(run, stacks.plans):
        if launch.retry_failed:
            all_ended(run, stacks)  # proposes again what has failed
            retry(run, stacks.generations)
        sweep_run(run, jobs, stacks, shared, engine)
    return run, epochs


def _fills_cores(launch: Launch, job: Job) -> bool:
    """Whether every core of this machine will have a stack, or nearly so.

    Ray, whose start takes as long as a short sweep, is then started with a process for each, before it is known how
    many stacks there are.
    """
    search = job.search
    assert search is not None
    cores, trials = os.cpu_count() or 1, search.trials or 0
    stacks = trials if cores <= FEW_CORES else ceil(trials / search.stack)
    return launch.resume is None and stacks * job.resources.cpus_per_worker >= cores


def _asked_for(launch: Launch) -> tuple[Run | None, list[Segment], str, Positions]:
    """The run to extend or to go on with, or None for a new one; its segments, a new job's text, positions."""
    from raydnn.launch.runs.segments import begun, kept
    from raydnn.spec.reading.load import require_sweep

    if launch.extend is not None:
        run, segments = extension(launch, launch.extend)
        return run, segments, "", positions_of(run)
    given, begun_run = begun_or_resumed("sweep", launch, require_sweep)
    if begun_run is not None:
        return begun_run, kept(begun_run), given.text, given.positions
    assert given.loaded is not None
    segment = begun(given.loaded, lambda name: find_run(name, given.job.storage))
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
