"""`raydnn submit`: the same job, on a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from raydnn.cli.options import job_argument, overrides_argument
from raydnn.cli.printing.terminal import outlast_the_terminal, tell
from raydnn.launch.submit import submit as submit_to_cluster
from raydnn.shell import command


@click.command()
@job_argument
@overrides_argument
@click.option("--address", metavar="URL", help="The head's dashboard, http://HEAD:8265; else RAY_ADDRESS.")
@click.option("--no-wait", is_flag=True, help="Return when the cluster has the job.")
@click.option("--insecure", is_flag=True, help="Submit to a cluster that runs jobs for anyone.")
@click.pass_context
def submit(
    context: click.Context,
    job: Path,
    overrides: tuple[str, ...],
    address: str | None,
    no_wait: bool,
    insecure: bool,
) -> None:
    """Run JOB on a cluster as a Ray job: a training, or a sweep if it has `search`.

    The current folder is sent along without .git, data, results, what .gitignore names, what may hold secrets
    (.env, *.key, id_*, .ssh ...) and links that lead out of it. The run's id goes to stdout, its log to stderr,
    and the command ends as the run does; Ctrl-C only stops watching.

    \b
    Example:
      raydnn submit jobs/digits-asha.yaml search.trials=100 --address http://127.0.0.1:8265
    """
    outlast_the_terminal()
    sent = submit_to_cluster(job, overrides, address, insecure)
    run_id, cluster = sent.run_id, sent.cluster
    tell(run_id)  # the first of all lines, also where a script reads both streams as one
    for line in sent.told:
        tell(line, err=True)
    tell(f"submitted to {cluster.url}\n{_next_commands(run_id)}", err=True)
    if no_wait:
        return

    from raydnn.launch.cluster.job_logs import follow_logs

    try:
        state = follow_logs(cluster, run_id, lambda line: tell(line, end="", err=True))
    except KeyboardInterrupt:
        tell(f"\nno longer watching; the run goes on\n{_next_commands(run_id)}", err=True)
        context.exit(130)
    reason = f": {state.message}" if state.message and state.exit_code else ""
    tell(f"{run_id} {state.status}{reason}", err=True)
    context.exit(state.exit_code)


def _next_commands(run_id: str) -> str:
    return (
        f"next: {command('logs', run_id, '-f')}\n"
        f"      {command('status', run_id)}\n"
        f"to end it: {command('stop', run_id)}"
    )
