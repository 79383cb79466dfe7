"""The root of the command line: finds a command, runs it, and turns errors into messages and exit codes."""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, TextIO

import click

from raydnn.cli.groups import Group
from raydnn.cli.options import Settings
from raydnn.cli.printing.terminal import ReaderGoneError, guarded_streams, open_missing_streams, tell
from raydnn.errors import RaydnnError, UsageError
from raydnn.shell import command

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("raydnn.cli.commands.init:init", "Write a starter job, a sweep over it, and their JSON Schema."),
    "doctor": (
        "raydnn.cli.commands.doctor:doctor",
        "Show what works here: packages, devices, storage, cluster.",
    ),
    "train": (
        "raydnn.cli.commands.train:train",
        "Train one network, with one or more data-parallel workers.",
    ),
    "sweep": ("raydnn.cli.commands.sweep:sweep", "Search: train many trials and rank them."),
    "submit": ("raydnn.cli.commands.submit:submit", "Run the same job on a cluster, as a Ray job."),
    "plan": (
        "raydnn.cli.commands.plan:plan",
        "Say what a job would take: trials, steps, time, memory, disk.",
    ),
    "status": ("raydnn.cli.commands.jobs:status", "Show the state of runs."),
    "logs": ("raydnn.cli.commands.jobs:logs", "Print or follow the logs of a run."),
    "stop": ("raydnn.cli.commands.jobs:stop", "Stop a run; what it committed stays."),
    "results": (
        "raydnn.cli.commands.results:results",
        "Read results: list, top, show, best, compare, failures, replay, sql, export.",
    ),
    "components": (
        "raydnn.cli.commands.components:components",
        "List optimizers, schedules, activations ... and their pages.",
    ),
    "space": ("raydnn.cli.commands.space:space", "Show the search space a job spans, with its conditions."),
    "schema": ("raydnn.cli.commands.schema:schema", "Print the JSON Schema of job files."),
    "completion": (
        "raydnn.cli.commands.completion:completion",
        "Print what bash, zsh or fish needs to complete commands.",
    ),
}
"""Command → where it is and its line in the help; a command's module is imported only when it runs."""


class LazyGroup(Group):
    """A group whose commands are imported when they are called, so that help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import version

        tell(f"raydnn {version('raydnn')}")
        ctx.exit()


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("-v", "--verbose", is_flag=True, help="Show Ray's own messages too.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_context
def raydnn(ctx: click.Context, debug: bool, verbose: bool) -> None:
    """Train neural networks on Ray, search how they are trained, read the results as Parquet.

    \b
    Example:
      raydnn init && raydnn sweep sweep.yaml && raydnn results top latest
    """
    settings = ctx.ensure_object(Settings)
    settings.debug = debug
    settings.verbose = verbose
    try:
        os.getcwd()
    except OSError:
        raise UsageError("the folder that this shell is in has been removed; change to another one") from None


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: What follows `raydnn`; None: the process's own arguments.
    """
    warnings.showwarning = _show_warning
    leave = _Leave()
    if arguments is None:
        atexit.register(leave)  # the first that registers runs last
        open_missing_streams()
    with guarded_streams():
        leave.code = _run(sys.argv[1:] if arguments is None else arguments)
    sys.exit(leave.code)


def _run(arguments: Sequence[str]) -> int:
    """Run a command, say what went wrong, and return the exit code."""
    settings = Settings()
    try:
        code = raydnn.main(list(arguments), prog_name="raydnn", standalone_mode=False, obj=settings)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = _report(_usage_message(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        code = _report("interrupted", 130)
    except ReaderGoneError:
        code = 0
    except RaydnnError as error:
        _print_traceback(settings)
        code = _report(str(error), error.exit_code)
    except Exception as error:
        _print_traceback(settings)
        hint = "" if settings.debug else f" (`{command('--debug', *arguments)}` shows where)"
        code = _report(f"raydnn: unexpected {type(error).__name__}: {error}{hint}", 1)
    return code if isinstance(code, int) else 0


@dataclass
class _Leave:
    """Ends the process at once: taking hundreds of imported modules apart costs a second and changes nothing."""

    code: int = 1

    def __call__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(
                OSError, ValueError
            ):  # its reader has gone, or its disk is full: that has been told
                stream.flush()
        os._exit(self.code)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, UserWarning):  # the other categories speak to developers
        tell(f"warning: {message}", err=True)


def _report(message: str, code: int) -> int:
    tell(message, err=True)
    return code


def _print_traceback(settings: Settings) -> None:
    if settings.debug:
        import traceback

        traceback.print_exc()


def _usage_message(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "raydnn"
    page = command(*path.split()[1:], "--help")
    return f"{path}: {error.format_message()} (see `{page}`)"
