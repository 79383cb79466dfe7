"""`raydnn train`: one network, with one or more data-parallel workers."""

from __future__ import annotations

import click

from raydnn.cli.launching import (
    Launch,
    begun_or_resumed,
    launch_options,
    print_trial_warnings,
    resumable,
    retry,
)
from raydnn.cli.printing.terminal import tell
from raydnn.cli.resuming import id_of_new
from raydnn.shell import command


@click.command()
@launch_options
def train(launch: Launch) -> None:
    """Train one network as JOB says; KEY=VALUE overrides a field of it.

    With --resume no JOB is needed: the run has it. --storage says where that run is. A training whose own code
    failed stays FAILED, unless --retry-failed asks for it again.

    \b
    Example:
      raydnn train jobs/digits.yaml optimizer.lr=0.05 train.epochs=20
      raydnn train --resume digits-20260101-120000-1a2b
    """
    from raydnn.spec.reading.load import require_training

    given, run = begun_or_resumed("train", launch, require_training)
    tell(f"preparing {launch.job if run is None else run.run_id} ...", err=True)  # what follows takes seconds

    from raydnn.launch.cluster.address import variable_named
    from raydnn.launch.engine.on_ray.engines import ray_engine

    engine = ray_engine(launch.address, launch.verbose)
    with variable_named(launch.address_variable):
        engine.check(given.job.resources)

    # After the check, for these import torch.
    from raydnn.cli.printing.output import print_record
    from raydnn.cli.printing.progress import following, print_epochs
    from raydnn.errors import RaydnnError
    from raydnn.launch.runs.runs import begin, driving, ended_stacks
    from raydnn.search.packing import StackPlan
    from raydnn.spec.reading.placing import placed
    from raydnn.spec.trial import trial_of_job
    from raydnn.store.disk import check_space
    from raydnn.store.files import locate
    from raydnn.train.stack.summary import summarize

    trial = trial_of_job(given.job)
    with placed(given.positions):
        summary = summarize(trial)
    plans = [StackPlan(0, ((0, trial),))]
    check_space(locate(given.job.storage) if run is None else run.location, summary.disk_bytes)
    if run is None:
        new_id = id_of_new(launch.run_id, given.job)
        run = begin(
            given.job, given.text, new_id, "train", plans, examples=summary.examples, facts=summary.facts
        )
    rows = [("layer", "output", "parameters", "operations")]
    for each in summary.layers:
        shape = " x ".join(map(str, each.shape))
        rows.append((each.name, shape, f"{each.parameters:,}", f"{each.operations:,}"))
    for name, shape, parameters, operations in rows:
        tell(f"  {name:<20} {shape:>14} {parameters:>12} {operations:>14}")
    if summary.strategy:
        tell(summary.strategy)
    tell(
        f"{summary.parameters:,} parameters · {summary.examples['train']:,} training, "
        f"{summary.examples['validation']:,} validation, {summary.examples.get('test', 0):,} test examples · "
        f"{summary.steps_per_epoch:,} steps an epoch"
    )
    print_trial_warnings([trial], summary.examples["train"])
    for line in summary.told:
        tell(line, err=True)
    tell(f"run {run.run_id} in {run.uri}", err=True)

    going_on = resumable("train", run, launch.address)
    with placed(given.positions), going_on, following(run, print_epochs), driving(run, plans):
        if launch.retry_failed:
            retry(run, [plans])
        if ended_stacks(run, plans):
            tell(f"run {run.run_id} has ended; nothing is left to train", err=True)
        else:
            engine.train(run, trial, given.job.resources)

    from raydnn.analysis.baseline import beside_baseline
    from raydnn.analysis.tables import show

    found = show(run, "t00000")
    wanted = ("trial_id", "state", "stop_reason", "epochs", "best_value", "best_epoch", "seconds")
    print_record(
        {"run": run.run_id, **{name: found.get(name) for name in wanted}, **found["metrics"]}, "table"
    )
    for line in beside_baseline(run, "t00000"):
        tell(line, err=True)
    if found["state"] not in ("COMPLETED", "STOPPED"):
        raise RaydnnError(
            f"the training {found['state'].lower()}: {found.get('error') or found['stop_reason']}"
        )
    tell(f"\nnext: {command('results', 'show', run.uri, 't00000')}", err=True)
