"""`raydnn train`: one network, with one or more data-parallel workers."""

from __future__ import annotations

import click

from raydnn.cli.options import request_options
from raydnn.cli.printing.observer import Terminal
from raydnn.cli.printing.terminal import tell
from raydnn.launch.request import Request
from raydnn.launch.train import TRIAL, check_trained
from raydnn.launch.train import train as train_network
from raydnn.shell import command


@click.command()
@request_options
def train(request: Request) -> None:
    """Train one network as JOB says; KEY=VALUE overrides a field of it.

    With --resume no JOB is needed: the run has it. --storage says where that run is. A training whose own code
    failed stays FAILED, unless --retry-failed asks for it again.

    \b
    Example:
      raydnn train jobs/digits.yaml optimizer.lr=0.05 train.epochs=20
      raydnn train --resume digits-20260101-120000-1a2b
    """
    run = train_network(request, Terminal())

    from raydnn.analysis.course import memory_lacked
    from raydnn.analysis.tables import show
    from raydnn.analysis.verdict.baseline import beside_baseline
    from raydnn.cli.printing.output import print_record

    found = show(run, TRIAL)
    wanted = ("trial_id", "state", "stop_reason", "epochs", "best_value", "best_epoch", "seconds")
    print_record(
        {"run": run.run_id, **{name: found.get(name) for name in wanted}, **found["metrics"]}, "table"
    )
    for line in (*memory_lacked(run), *beside_baseline(run, TRIAL)):
        tell(line, err=True)
    check_trained(run)
    tell(f"\nnext: {command('results', 'show', run.uri, TRIAL)}", err=True)
