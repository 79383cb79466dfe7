"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from raydnn.cli.printing.output import FORMATS
from raydnn.errors import NotFoundError

if TYPE_CHECKING:
    from raydnn.store.run import Run

Command = TypeVar("Command", bound=Callable[..., Any])

LATEST = "latest"
STORAGE = "results"
"""Where runs are looked for, unless a command says it."""


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
    return click.argument("run", metavar="RUN")(command)


def run_place(run: str, storage: str) -> tuple[str, str]:
    """Split what the user wrote for RUN into the storage and the run id.

    Args:
        run: A run id, `latest`, or the path or URI of a run's folder.
        storage: The storage to look in when `run` is no path.

    Returns:
        (storage, run id).

    Raises:
        NotFoundError: `latest` was asked of a storage without runs.
    """
    if run == LATEST:
        from raydnn.store.run import latest_run

        name = latest_run(storage)
        if name is None:
            raise NotFoundError(f"no run in '{storage}'; `--storage` says where runs are")
        return storage, name
    if "/" in run or (Path(run) / "resolved.json").is_file():
        from raydnn.store.files import locate

        folder = locate(run)
        return folder.parent.uri, folder.name
    return storage, run


def find_run(run: str, storage: str) -> Run:
    """Open the run that the user means.

    Args:
        run: A run id, `latest`, or the path or URI of a run's folder.
        storage: The storage to look in when `run` is no path.

    Raises:
        NotFoundError: There is no such run; names the nearest ids.
    """
    from raydnn.store.run import open_run

    return open_run(*run_place(run, storage))
