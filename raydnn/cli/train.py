"""`raydnn train`: one network, with one or more data-parallel workers."""

from __future__ import annotations

from pathlib import Path

import click

from raydnn.cli.options import Settings, overrides_argument, pass_settings, storage_option


@click.command()
@click.argument("job", metavar="[JOB]", required=False, type=click.Path(path_type=Path))
@overrides_argument
@click.option(
    "--resume", metavar="RUN", help="Go on with a run that was interrupted, from its last checkpoint."
)
@click.option(
    "--address", metavar="ADDRESS", envvar="RAY_ADDRESS", help="Run on this Ray cluster instead of here."
)
@click.option("--run-id", hidden=True, help="Id of the new run; `submit` sets it.")
@storage_option
@pass_settings
def train(
    settings: Settings,
    job: Path | None,
    overrides: tuple[str, ...],
    resume: str | None,
    address: str | None,
    run_id: str | None,
    storage: str,
) -> None:
    """Train one network as JOB says; KEY=VALUE overrides a field of it.

    With --resume no JOB is needed: the run has it. --storage says where that run is.

    \b
    Example:
      raydnn train jobs/digits.yaml optimizer.lr=0.05 train.epochs=20
      raydnn train --resume digits-20260101-120000-1a2b
    """
    from raydnn.cli.launching import begun_or_resumed
    from raydnn.cli.output import print_record
    from raydnn.cli.progress import following, print_epochs
    from raydnn.launch.runs import begin, driving
    from raydnn.search.packing import Stack
    from raydnn.spec.load import require_training
    from raydnn.spec.trial import trial_of_job
    from raydnn.store.run import new_run_id
    from raydnn.train.summary import summarize

    given, run = begun_or_resumed("train", job, overrides, resume, storage, require_training)
    trial = trial_of_job(given.job)
    summary = summarize(trial)
    plans = [Stack(0, ((0, trial),))]
    if run is None:
        run = begin(given.job, given.text, run_id or new_run_id(given.job.name), "train", plans)
    for name, shape, count in summary.layers:
        click.echo(f"  {name:<20} {' x '.join(map(str, shape)):>12} {count:>12,}")
    click.echo(
        f"{summary.parameters:,} parameters · {summary.train_examples:,} training, "
        f"{summary.validation_examples:,} validation, {summary.test_examples:,} test examples · "
        f"{summary.steps_per_epoch:,} steps an epoch"
    )
    click.echo(f"run {run.run_id} in {run.uri}", err=True)

    from raydnn.launch.training import train_run

    with following(run, print_epochs), driving(run, plans):
        train_run(run, trial, given.job.resources, address, settings.verbose)

    from raydnn.analysis.tables import show

    found = show(run, "t00000")
    wanted = ("trial_id", "state", "stop_reason", "epochs", "best_value", "best_epoch", "seconds")
    print_record(
        {"run": run.run_id, **{name: found.get(name) for name in wanted}, **found["metrics"]}, "table"
    )
    click.echo(f"\nnext: raydnn results show {run.uri} t00000", err=True)
