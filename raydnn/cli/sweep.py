"""`raydnn sweep`: a search, many trials in stacks."""

from __future__ import annotations

import click

from raydnn.cli.launching import Launch, begun_or_resumed, launch_options, print_selu_warnings, resumable


@click.command()
@launch_options
def sweep(launch: Launch) -> None:
    """Search the space of JOB: train many trials and rank them; KEY=VALUE overrides a field of it.

    With --resume no JOB is needed: the run has it. --storage says where that run is.

    \b
    Example:
      raydnn sweep jobs/digits-asha.yaml search.trials=128
      raydnn sweep --resume digits-asha-20260101-120000-1a2b
    """
    from raydnn.analysis.tables import top
    from raydnn.cli.course import print_course
    from raydnn.cli.progress import SweepLine, following
    from raydnn.cli.trials import print_top
    from raydnn.data.load import load_dataset
    from raydnn.errors import RaydnnError
    from raydnn.launch.local import check_place
    from raydnn.launch.prepared import prepare
    from raydnn.launch.runs import begin, driving
    from raydnn.launch.stacks import Stacks
    from raydnn.launch.tuning import sweep_run
    from raydnn.search.algorithms import generations
    from raydnn.space.space import build_space
    from raydnn.spec.load import Places, require_sweep
    from raydnn.store.run import new_run_id
    from raydnn.train.footprint import fitting

    given, run = begun_or_resumed("sweep", launch, require_sweep)
    check_place(launch.address, given.job.resources)
    search = given.job.search
    assert search is not None
    space = build_space(given.job, given.loaded.places if given.loaded else Places({}))
    dataset = load_dataset(given.job.data)
    fits = fitting(search.stack_memory_gib, dataset)
    stacks = Stacks(generations(space, given.job), search.stack, fits)
    trials = [trial for plan in stacks.plans for _, trial in plan.trials]
    prepared = prepare(given.job.data, dataset)
    if run is None:
        new_id = launch.run_id or new_run_id(given.job.name)
        run = begin(given.job, given.text, new_id, "sweep", stacks.plans, space.tree(), stacks.expected)
    first = "" if stacks.over else f", the first {len(trials)}"
    click.echo(
        f"run {run.run_id}: {stacks.expected} trials{first} in {len(stacks.plans)} stacks, in {run.uri}",
        err=True,
    )
    print_selu_warnings(trials)
    epochs = sum(trial.train.epochs for trial in trials) * stacks.expected // len(trials)
    line = SweepLine(stacks.expected, epochs)
    with resumable("sweep", run), following(run, line), driving(run, stacks.plans):
        sweep_run(run, given.job, stacks, prepared, launch.address, launch.verbose)
    best = top(run, 10)
    print_top(best, "table")
    if best.num_rows == 0:
        raise RaydnnError(
            f"no trial of {run.run_id} came to an end; `raydnn logs {run.uri} --errors` shows why"
        )
    print_course(run, epochs)
    click.echo(
        f"next: raydnn results show {run.uri} {best['trial_id'][0]}\n"
        f'      raydnn results sql {run.uri} "select p_optimizer_name, min(best_value) from trials group by 1"',
        err=True,
    )
