"""The root: help, start-up imports, exit codes, and messages instead of tracebacks."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import click
import pytest

from raydnn.cli import main as root
from raydnn.errors import ClusterError, DataError, InterruptedRunError, JobError, NotFoundError, Problem

HEAVY = ("torch", "ray", "pyarrow", "duckdb", "pydantic", "sklearn", "numpy", "rich")


def imported_by(*arguments: str) -> set[str]:
    """The heavy packages that `raydnn ARGUMENTS` leaves imported, seen from inside a fresh process."""
    code = (
        "import sys, json, contextlib, io\n"
        "from raydnn.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(sys.argv[1:])\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    return set(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def commands(group: click.Group, path: str = "") -> dict[str, click.Command]:
    """Every command and subcommand by its path."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[f"{path}{name}"] = command
        if isinstance(command, click.Group):
            found |= commands(command, f"{path}{name} ")
    return found


def test_every_command_has_help_that_ends_in_an_example(cli) -> None:
    for path in commands(root.raydnn):
        outcome = cli(*path.split(), "--help")
        assert outcome.code == 0, path
        head, _, example = outcome.out.partition("Example:\n")
        assert len(head) > len(f"Usage: raydnn {path}"), path
        assert f"raydnn {path}" in example, path


def test_every_command_is_where_the_table_says() -> None:
    for name, (place, help_line) in root.COMMANDS.items():
        module = place.split(":")[0]
        assert importlib.util.find_spec(module) is not None, name
        assert help_line.endswith("."), name


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["results", "--help"], set()),
        (["components", "optimizer"], {"pydantic"}),
        (["schema"], {"pydantic"}),
    ],
)
def test_start_up_imports_only_what_is_needed(arguments: list[str], allowed: set[str]) -> None:
    assert imported_by(*arguments) <= allowed


@pytest.mark.parametrize(("arguments", "seconds"), [(["--help"], 0.3), (["components", "optimizer"], 0.3)])
def test_start_up_is_quick(is_quick: Any, arguments: list[str], seconds: float) -> None:
    assert is_quick([sys.executable, "-m", "raydnn", *arguments], seconds, "click, pydantic", 2.8)


def test_python_m_raydnn_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "raydnn", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("raydnn ")


def test_a_mistyped_command_is_answered_on_one_line(cli) -> None:
    outcome = cli("swep", "job.yaml")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert "unknown command 'swep'" in outcome.err
    assert "Did you mean 'sweep'?" in outcome.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["top", "latest"], "results top"),
        (["result", "top"], "results"),
        (["show", "latest"], "results show"),
        (["results", "tpo"], "results top"),
        (["results", "statsu"], "status"),
        (["results", "lst"], "results list"),
        (["trian"], "train"),
    ],
)
def test_a_mistyped_command_leads_to_the_nearest_of_all(cli, typed: list[str], meant: str) -> None:
    outcome = cli(*typed)
    assert outcome.code == 2
    assert f"Did you mean '{meant}'?" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("typed", ["stpo", "sto", "stopp", "kill", "results stop"])
def test_no_mistyped_command_leads_to_one_that_ends_something(cli, typed: str) -> None:
    outcome = cli(*typed.split(), "latest")
    assert outcome.code == 2
    assert "Did you mean 'stop'" not in outcome.err


def test_a_mistyped_option_names_its_command(cli) -> None:
    outcome = cli("components", "--outptu", "json")
    assert outcome.code == 2
    assert outcome.err.startswith("raydnn components: ")
    assert "--outptu" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_wrong_choice_names_the_allowed_ones(cli) -> None:
    outcome = cli("components", "-o", "xml")
    assert outcome.code == 2
    assert all(word in outcome.err for word in ("xml", "table", "json", "csv"))


def test_no_arguments_print_the_help(cli) -> None:
    outcome = cli()
    assert outcome.code == 2
    assert "Commands:" in outcome.err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            JobError([Problem("a.yaml:1", "x", "one"), Problem("a.yaml:2", "y", "two")]),
            2,
            "a.yaml:1: x: one\na.yaml:2: y: two\n",
        ),
        (NotFoundError("no run 'x'"), 3, "no run 'x'\n"),
        (ClusterError("127.0.0.1:1 refused"), 4, "127.0.0.1:1 refused\n"),
        (DataError("f.csv: row 3: NaN"), 5, "f.csv: row 3: NaN\n"),
        (InterruptedRunError("stopped; resume with x"), 130, "stopped; resume with x\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            ZeroDivisionError("odd"),
            1,
            "raydnn: unexpected ZeroDivisionError: odd (`raydnn --debug train` shows where)\n",
        ),
    ],
)
def test_errors_become_a_message_and_an_exit_code(
    cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: failing)
    outcome = cli("train")
    assert outcome.code == code
    assert outcome.err.lstrip("\n") == message
    assert outcome.out == ""


def test_debug_shows_the_traceback(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def failing() -> None:
        raise NotFoundError("no run 'x'")

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: failing)
    outcome = cli("--debug", "train")
    assert outcome.code == 3
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("no run 'x'\n")


def test_a_command_can_choose_its_exit_code(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.pass_context
    def leaving(ctx: click.Context) -> None:
        ctx.exit(7)

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: leaving)
    assert cli("train").code == 7


def test_a_closed_pipe_ends_without_a_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m raydnn components activation -o json | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_folder_that_was_removed_is_told(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    outcome = cli("results", "list")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "has been removed" in outcome.err


def test_a_warning_is_one_line_on_stderr(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def warning() -> None:
        warnings.warn("part.parquet is damaged", UserWarning, stacklevel=1)

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: warning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        outcome = cli("train")
    assert outcome.code == 0
    assert outcome.err == "warning: part.parquet is damaged\n"
