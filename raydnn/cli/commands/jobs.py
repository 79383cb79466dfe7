"""`raydnn status`, `logs` and `stop`: runs that are going on, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from raydnn.cli.options import complete_runs, output_option, run_argument, storage_option
from raydnn.cli.printing.terminal import tell
from raydnn.shell import command
from raydnn.store.finding import run_place

if TYPE_CHECKING:
    from raydnn.launch.cluster.locate import RunLocation
    from raydnn.store.run import Run

Command = TypeVar("Command", bound=Callable[..., Any])


def _address_option(command: Command) -> Command:
    return click.option(
        "--address", metavar="URL", help="The run's cluster, if it was not submitted from this machine."
    )(command)


@click.command()
@click.argument("run", required=False, shell_complete=complete_runs)
@_address_option
@storage_option
@output_option
def status(run: str | None, address: str | None, storage: str, output: str) -> None:
    """Show the state of RUN; without RUN, of all runs in the storage and, with --address, on that cluster.

    \b
    Example:
      raydnn status
      raydnn status latest
      raydnn status --address http://127.0.0.1:8265
    """
    from raydnn.cli.printing.summaries import print_run, print_runs
    from raydnn.launch.cluster import locate

    if run is None:
        from raydnn.launch.cluster.address import connect

        cluster = connect(address, unauthenticated=True) if address else None
        rows = locate.overview(storage, cluster)
        print_runs(rows, locate.OVERVIEW, output)
        if not rows:
            tell(f"no run in '{storage}'; `--storage` says where runs are", err=True)
        return
    folder, run_id = run_place(run, storage)
    where = locate.find(run_id, folder, address)
    fields, warning = locate.status(where, insist=address is not None)
    if warning:
        tell(warning, err=True)
    print_run(fields, output)
    for line in locate.advice(where, fields):
        tell(line, err=True)


@click.command()
@run_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends; Ctrl-C only stops watching.")
@click.option("--trial", metavar="TRIAL", help="Only what concerns this trial.")
@click.option("--errors", "only_errors", is_flag=True, help="Only failed trials, with their tracebacks.")
@_address_option
@storage_option
def logs(
    run: str, follow: bool, trial: str | None, only_errors: bool, address: str | None, storage: str
) -> None:
    """Print the logs of RUN: the job's log on its cluster, or the files in the run's folder.

    \b
    Example:
      raydnn logs latest --errors
      raydnn logs digits-20260101-120000-1a2b -f
    """
    from raydnn.errors import UsageError
    from raydnn.launch.cluster import locate

    folder, run_id = run_place(run, storage)
    where = locate.find(run_id, folder, address)
    if where.run is not None and trial is not None:
        from raydnn.analysis.tables import show

        show(where.run, trial)
    if only_errors or trial is not None or where.address is None:
        if where.run is None:
            raise UsageError(
                f"run '{run_id}' is not in {folder}; --trial and --errors read it: give --storage"
            )
        if only_errors:
            _print_errors(where.run, trial)
        else:
            for line in _folder_lines(where.run, trial, follow):
                tell(line)
    else:
        _print_job_log(where, follow)


@click.command()
@run_argument
@_address_option
@storage_option
def stop(run: str, address: str | None, storage: str) -> None:
    """Stop RUN: it writes its checkpoints and ends; what it committed stays.

    \b
    Example:
      raydnn stop latest
    """
    from raydnn.launch.cluster import locate
    from raydnn.launch.runs.lease import ask_to_stop

    folder, run_id = run_place(run, storage)
    where = locate.find(run_id, folder, address)
    if where.address is not None:
        from raydnn.launch.cluster.job_client import stop_job

        asked = stop_job(where.connect(), run_id)
    else:
        driver = where.driver()
        asked = driver is not None and where.run is not None and ask_to_stop(where.run, driver)
    if asked:
        tell(f"asked {run_id} to stop\nnext: {command('status', *where.words)}", err=True)
    else:
        tell(f"{run_id} is not running", err=True)


def _print_errors(run: Run, trial: str | None) -> None:
    from raydnn.analysis.logs import errors

    lines = list(errors(run, trial))
    for line in lines:
        tell(line)
    if not lines:
        tell(
            f"no trial of {run.run_id} failed or diverged" if trial is None else f"{trial} did not fail",
            err=True,
        )


def _folder_lines(run: Run, trial: str | None, follow: bool) -> Iterator[str]:
    from raydnn.analysis.logs import follow_lines, read_lines
    from raydnn.launch.runs.driver import find_driver
    from raydnn.launch.runs.lease import seems_alive

    def running() -> bool:
        driver = find_driver(folder)
        return driver is not None and bool(seems_alive(run, driver))

    folder = run.location / "logs"
    return follow_lines(folder, running, trial) if follow else read_lines(folder, trial)


def _print_job_log(where: RunLocation, follow: bool) -> None:
    from raydnn.launch.cluster.job_logs import follow_logs, read_logs

    cluster = where.connect()
    if follow:
        follow_logs(cluster, where.run_id, lambda line: tell(line, end=""))
    else:
        tell(read_logs(cluster, where.run_id), end="")
