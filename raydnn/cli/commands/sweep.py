"""`raydnn sweep`: a search, many trials in stacks."""

from __future__ import annotations

import click

from raydnn.cli.options import request_options
from raydnn.cli.printing.observer import Terminal
from raydnn.cli.printing.terminal import tell
from raydnn.launch.request import Request
from raydnn.launch.sweep import sweep as search
from raydnn.shell import command


@click.command()
@click.option(
    "--extend", metavar="RUN", help="Go on with a run after its trials: more trials or epochs, another space."
)
@request_options
def sweep(request: Request) -> None:
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
    swept = search(request, Terminal())
    run = swept.run

    from raydnn.cli.printing.course import print_course
    from raydnn.cli.printing.trials import print_top
    from raydnn.cli.printing.wrecks import best_of, what_went_wrong

    best = best_of(run, 10)
    print_top(best, "table")
    print_course(run, swept.epochs_possible)
    tell(what_went_wrong(run), err=True, end="")
    by_optimizer = f"select p_optimizer_name, {run.mode}(best_value) from trials group by 1"
    tell(
        f"next: {command('results', 'show', run.uri, best['trial_id'][0])}\n"
        f"      {command('results', 'sql', run.uri, by_optimizer)}",
        err=True,
    )
