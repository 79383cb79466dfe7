"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from raydnn.cli.printing.output import FORMATS
from raydnn.cli.printing.terminal import outlast_the_terminal
from raydnn.errors import RaydnnError
from raydnn.launch.request import RETRY_FAILED, Request
from raydnn.store.finding import STORAGE

Command = TypeVar("Command", bound=Callable[..., Any])

ADDRESS_VARIABLE = "RAY_ADDRESS"


@dataclass
class Settings:
    """What stands before the command: it holds for every command."""

    debug: bool = False
    verbose: bool = False


pass_settings = click.make_pass_decorator(Settings, ensure=True)
"""Gives a command the Settings as its first argument."""


def output_option(command: Command) -> Command:
    """Add `-o table|json|csv` as the argument `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
    )(command)


def storage_option(command: Command) -> Command:
    """Add `--storage`, the folder that holds the runs, as the argument `storage`."""
    return click.option(
        "--storage",
        default=STORAGE,
        show_default=True,
        help="Folder (or s3://, gs:// address) that holds the runs.",
    )(command)


def overrides_of(job: Path | None, overrides: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """JOB and overrides, where the first word of a command line without JOB is an override."""
    if job is None or "=" not in str(job) or job.is_file():
        return job, overrides
    return None, (str(job), *overrides)


def overrides_argument(command: Command) -> Command:
    """Add `key=value ...` as the argument `overrides`, a tuple of strings."""
    return click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")(command)


def job_argument(command: Command) -> Command:
    """Add JOB, the path of a job file, as the argument `job`."""
    return click.argument("job", metavar="JOB", type=click.Path(path_type=Path))(command)


def run_argument(command: Command) -> Command:
    """Add RUN (an id, a run's folder, or `latest`) as the argument `run`; `find_run` opens it."""
    return click.argument("run", metavar="RUN", shell_complete=complete_runs)(command)


def complete_runs(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The runs of the storage that a command line names, newest first; what cannot be read has none."""
    from raydnn.store.runs import list_runs

    with suppress(RaydnnError, OSError):
        runs = list_runs(context.params.get("storage") or STORAGE)
        return [run for run in ("latest", *runs) if run.startswith(begun)]
    return []


def request_options(command: Callable[[Request], None]) -> Callable[..., None]:
    """Add the arguments and options of a `Request`."""

    @click.argument("job", metavar="[JOB]", required=False, type=click.Path(path_type=Path))
    @overrides_argument
    @click.option(
        "--resume", metavar="RUN", shell_complete=complete_runs, help="Go on with a run that was interrupted."
    )
    @click.option(RETRY_FAILED, is_flag=True, help="With --resume: train the trials that FAILED again, too.")
    @click.option(
        "--address",
        metavar="ADDRESS",
        envvar=ADDRESS_VARIABLE,
        help="Run on this Ray cluster instead of here.",
    )
    @click.option("--run-id", hidden=True, help="Id of the new run; `submit` sets it.")
    @click.option(
        "--storage", help="Folder (or s3://, gs:// address) that holds the runs, whatever the job says."
    )
    @pass_settings
    def with_options(
        settings: Settings, /, job: Path | None, overrides: tuple[str, ...], **given: Any
    ) -> None:
        outlast_the_terminal()
        source = click.get_current_context().get_parameter_source("address")
        variable = ADDRESS_VARIABLE if source == ParameterSource.ENVIRONMENT else None
        job, overrides = overrides_of(job, overrides)
        command(Request(job, overrides, verbose=settings.verbose, address_variable=variable, **given))

    return update_wrapper(with_options, command)
