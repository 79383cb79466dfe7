"""`raydnn results`: read what runs have stored; needs no cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from raydnn.cli.groups import Group
from raydnn.cli.options import complete_runs, output_option, run_argument, storage_option
from raydnn.cli.printing.output import print_arrow, print_record, print_table
from raydnn.cli.printing.terminal import tell
from raydnn.store.finding import find_run, run_and_trial

if TYPE_CHECKING:
    from raydnn.spec.base import Component

REPLAYED = ("none", "asha", "hyperband", "median")
"""Schedulers that can be replayed; bohb cannot, for it proposes trials of its own."""
FORMS = ("csv", "parquet", "json")
"""Forms in which tables are exported."""


@click.group(cls=Group)
def results() -> None:
    """Read the results of runs, finished or still going; RUN is an id, a run's folder, or `latest`.

    \b
    Example:
      raydnn results top latest
    """


@results.command("list")
@storage_option
@output_option
def list_command(storage: str, output: str) -> None:
    """List the runs of a storage, newest first.

    \b
    Example:
      raydnn results list --storage results
    """
    from raydnn.analysis.tables import RUN_FIELDS, list_summaries
    from raydnn.cli.printing.summaries import print_runs

    runs = list_summaries(storage)
    print_runs(runs, RUN_FIELDS, output)
    if not runs:
        tell(f"no run in '{storage}'; `--storage` says where runs are", err=True)


@results.command("top")
@run_argument
@click.option(
    "-n", "--number", type=click.IntRange(min=1), default=10, show_default=True, help="How many trials."
)
@storage_option
@output_option
def top_command(run: str, number: int, storage: str, output: str) -> None:
    """Rank the finished trials of RUN; its configurations, by their mean, where they have several seeds.

    Of the parameters it shows those that differ between the trials.

    \b
    Example:
      raydnn results top latest
      raydnn results top digits-asha-20260101-120000-1a2b -n 20 -o csv
    """
    from raydnn.analysis.tables import top
    from raydnn.cli.printing.trials import print_top

    found = find_run(run, storage)
    table = top(found, number)
    print_top(table, output)
    if not table.num_rows:
        tell(f"no trial of {found.run_id} has finished yet", err=True)


@results.command("show")
@run_argument
@click.argument("trial", required=False)
@storage_option
@output_option
def show_command(run: str, trial: str | None, storage: str, output: str) -> None:
    """Show all that is known of RUN or of a TRIAL.

    \b
    Example:
      raydnn results show latest
      raydnn results show latest t00007 -o json
    """
    from raydnn.analysis.tables import show
    from raydnn.cli.printing.summaries import print_run_with_job, shortened

    found = show(find_run(run, storage), trial)
    if trial is None and output == "table":
        print_run_with_job(found)
    else:
        print_record(shortened(found) if output == "table" else found, output)


@results.command("best")
@click.argument("run", metavar="RUN[:TRIAL]", shell_complete=complete_runs)
@storage_option
def best_command(run: str, storage: str) -> None:
    """Print the job file that trains the best trial of RUN again, or its TRIAL.

    \b
    Example:
      raydnn results best latest > best.yaml
      raydnn results best latest:t00007
    """
    from raydnn.analysis.job_of_trial import job_of_trial

    name, trial = run_and_trial(run)
    tell(job_of_trial(find_run(name, storage), trial).rstrip())


@results.command("replay")
@run_argument
@click.option(
    "--scheduler",
    "schedulers",
    type=click.Choice(REPLAYED),
    multiple=True,
    help="A scheduler to replay, once or more; all of them without it.",
)
@click.option(
    "--eta", type=click.FloatRange(min=1, min_open=True), help="One in eta goes on; asha and hyperband."
)
@click.option("--min-epochs", type=click.IntRange(min=1), help="The first rung; asha and median.")
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the curves into a PNG file."
)
@storage_option
@output_option
def replay_command(
    run: str,
    schedulers: tuple[str, ...],
    eta: float | None,
    min_epochs: int | None,
    plot: Path | None,
    storage: str,
    output: str,
) -> None:
    """Say what schedulers would have stopped, saved and picked in RUN, a sweep without one.

    `rank` is the picked trial's among the whole curves; `regret` is how much worse than the best of them its value
    is, as far as the scheduler would have trained it.

    \b
    Example:
      raydnn results replay latest
      raydnn results replay latest --scheduler asha --eta 4 --min-epochs 2 --plot replay.png
    """
    from raydnn.analysis.replay import recorded, replay

    asked = schedulers or REPLAYED
    specs = [_scheduler(name, eta, min_epochs) for name in asked]
    for option, field, given in (("--eta", "eta", eta), ("--min-epochs", "min_epochs", min_epochs)):
        if given is not None and not any(hasattr(spec, field) for spec in specs):
            raise click.UsageError(f"{option} {given:g}: {', '.join(asked)} has no {field}")
    sweep = recorded(find_run(run, storage))
    if min_epochs is not None and min_epochs > sweep.max_epochs:
        raise click.UsageError(f"--min-epochs {min_epochs}: the trials had {sweep.max_epochs} epochs")
    replayed = [replay(sweep, spec) for spec in specs]
    rows = [each.row() for each in replayed]
    print_table(list(rows[0]), [list(row.values()) for row in rows], output)
    if plot is not None:
        from raydnn.analysis.replay_plot import plot as draw

        draw(sweep, replayed, plot)
        tell(f"drawn: {plot}", err=True)


def _scheduler(name: str, eta: float | None, min_epochs: int | None) -> Component:
    """A scheduler's spec, with what of the options it has."""
    from raydnn.spec.catalogue.kinds import components

    cls = components("scheduler")[name]
    options = {"eta": eta, "min_epochs": min_epochs}
    given = {
        field: value for field, value in options.items() if value is not None and field in cls.model_fields
    }
    return cls.model_validate({"name": name, **given})


@results.command("sql")
@click.argument("run", metavar="RUN|-", shell_complete=complete_runs)
@click.argument("query")
@click.option("--files", is_flag=True, help="Let QUERY read and write files, too: copy, read_csv, attach ...")
@storage_option
@output_option
def sql_command(run: str, query: str, files: bool, storage: str, output: str) -> None:
    """Ask RUN, or `-` for all runs, a question in SQL.

    The tables are trials, epochs, events and layers; every row occurs once, also while the run is going.
    QUERY only reads them; nothing else is read, and nothing written, unless --files is given.

    \b
    Example:
      raydnn results sql latest "select p_optimizer_name, min(best_value) from trials group by 1"
      raydnn results sql - "select run_id, count(*) from trials group by 1"
    """
    from raydnn.analysis.sql import sql

    print_arrow(sql(storage if run == "-" else find_run(run, storage), query, files=files), output)


@results.command("compare")
@click.argument("a", metavar="RUN", shell_complete=complete_runs)
@click.argument("b", metavar="RUN", shell_complete=complete_runs)
@storage_option
@output_option
def compare_command(a: str, b: str, storage: str, output: str) -> None:
    """Say which of two runs is better, by the trials of the same configuration and seed at equal epochs.

    `difference` is the second run's value less the first one's, with its 95 % interval; `better` is empty where the
    interval holds 0, so that either may be.

    \b
    Example:
      raydnn results compare digits-asha-20260101-120000-1a2b latest
    """
    from raydnn.analysis.verdict.compare import compare

    compared = compare(find_run(a, storage), find_run(b, storage))
    print_record(compared.to_json(), output)
    if not compared.pairs:
        tell("they have no configuration in common", err=True)


@results.command("failures")
@run_argument
@storage_option
@output_option
def failures_command(run: str, storage: str, output: str) -> None:
    """Say for which causes trials of RUN failed or diverged, the most frequent first.

    \b
    Example:
      raydnn results failures latest
    """
    from raydnn.analysis.failures import FAILURE_FIELDS, failures

    found = find_run(run, storage)
    causes = failures(found)
    print_table(FAILURE_FIELDS, [[cause[field] for field in FAILURE_FIELDS] for cause in causes], output)
    if not causes:
        tell(f"no trial of {found.run_id} failed or diverged", err=True)


@results.command("export")
@run_argument
@click.option("--to", "form", type=click.Choice(FORMS), required=True, help="Form of the files.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to write to."
)
@storage_option
def export_command(run: str, form: str, out: Path, storage: str) -> None:
    """Write the tables of RUN, each row once, into files for other tools.

    \b
    Example:
      raydnn results export latest --to csv --out tables
    """
    from raydnn.analysis.export import export

    for path in export(find_run(run, storage), form, out):
        tell(str(path))
