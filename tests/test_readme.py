"""The README under test: its tour runs, and its reference is what the program says of itself.

`python tests/test_readme.py` writes the generated parts of the README anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from raydnn import errors
from raydnn.cli.main import COMMANDS, raydnn
from raydnn.spec.base import Component, Spec
from raydnn.spec.catalogue.fields import component_classes, nested_spec, type_name
from raydnn.spec.catalogue.kinds import KINDS
from raydnn.spec.catalogue.kinds import components as components_of
from raydnn.spec.job import Job
from raydnn.spec.reading.presets import PRESETS
from raydnn.store.tables import PARAMETERS, TABLES

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BENCHMARKS = ROOT / "tests" / "benchmarks"

BAR = r"\|"
GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |\n" for line in lines)


def commands() -> str:
    """Every command with its arguments and options."""
    rows = []
    for path, command, line in _commands(raydnn):
        context = click.Context(command, info_name=path)
        pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
        rows.append((f"`{' '.join([path, *pieces, *_options(command, context)])}`", line))
    return table(("command", "what it does"), rows)


def _commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command, str]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{above}{name} ")
        else:
            line = COMMANDS[name][1] if group is raydnn else command.get_short_help_str(limit=200)
            yield f"{above}{name}", command, line


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.get_params(context):
        if isinstance(option, click.Option) and not option.hidden and "--help" not in option.opts:
            value = "" if option.is_flag else f" {option.metavar or option.human_readable_name.upper()}"
            yield f"[{option.opts[0]}{value}]"


def fields() -> str:
    """Every field of a job by its dotted path."""
    rows = [
        ("`extends`", "path", "", "a job file whose fields hold where this one gives none"),
        ("`preset`", " | ".join(PRESETS), "", "a combination whose fields hold where the job gives none"),
    ]
    first = ("name", "seed")
    ordered = [*first, *(name for name in Job.model_fields if name not in first)]
    rows += [row for name in ordered for row in _field_rows(Job, name, "")]
    return table(("field", "type", "default", "meaning"), rows)


def _field_rows(spec: type[Spec], name: str, above: str) -> Iterator[tuple[str, str, str, str]]:
    field = spec.model_fields[name]
    nested, choices = nested_spec(field.annotation), component_classes(field.annotation)
    path = f"{above}{name}"
    if nested is not None:
        if not isinstance(field.default, Spec):
            yield f"`{path}`", "mapping or null", "`null`", field.description or ""
        for inner in nested.model_fields:
            yield from _field_rows(nested, inner, f"{path}.")
        return
    kind = "component" if choices else type_name(field.annotation)
    if path == "search.space":
        kind = "mapping"
    yield f"`{path}`", kind, _default(field), field.description or ""


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default.name if isinstance(field.default, Component) else field.default
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def components() -> str:
    """Every component of every kind, with its parameters and their defaults."""
    parts = []
    for kind in KINDS:
        rows = []
        for name, cls in components_of(kind).items():
            own = {key: field for key, field in cls.model_fields.items() if key != "name"}
            parameters = ", ".join(_parameter(key, field) for key, field in own.items())
            rows.append((f"`{name}`", parameters, (cls.__doc__ or "").partition("\n")[0]))
        parts.append(f"**{kind}**\n\n" + table(("name", "parameters (default)", "meaning"), rows))
    return "\n".join(parts)


def _parameter(name: str, field: Any) -> str:
    return f"{name} ({_default(field).strip('`')})"


def columns() -> str:
    """The columns of the tables; the parameters' columns, one for each field, on one line."""
    parts = []
    for name, definition in TABLES.items():
        rows: list[tuple[str, ...]] = []
        for column in definition.columns:
            if column not in PARAMETERS:
                rows.append((f"`{column.name}`", str(column.type), column.meaning))
            elif column is PARAMETERS[0]:
                meaning = (
                    "every field that decides the training, with _ for the dots (`p_optimizer_name`, "
                    "`p_optimizer_lr`, `p_train_batch_size`); null where the trial has no such field"
                )
                rows.append((f"`p_...` ({len(PARAMETERS)} columns)", "its own", meaning))
        key = ", ".join(definition.key)
        parts.append(f"**{name}**, key {key}\n\n" + table(("column", "type", "meaning"), rows))
    return "\n".join(parts)


def measured() -> str:
    """The tables of benchmarks, from what `make bench` wrote."""
    report = runpy.run_path(str(BENCHMARKS / "table.py"))["report"]
    return f"{report(json.loads((BENCHMARKS / 'measured.json').read_text()))}\n"


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "fields": fields,
    "components": components,
    "columns": columns,
    "measured": measured,
}


def renewed(text: str) -> str:
    """The README with its generated parts as they should be."""
    return GENERATED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[4]}", text)


def test_the_generated_parts_are_current() -> None:
    text = README.read_text()
    assert [found[2] for found in GENERATED.finditer(text)] == list(PARTS)
    assert renewed(text) == text, "run `python tests/test_readme.py`"


@pytest.mark.parametrize("path", [path for path, _, _ in _commands(raydnn)])
def test_every_command_has_its_line(path: str) -> None:
    assert re.search(rf"^\| `{path}[` ]", README.read_text(), re.MULTILINE)


def test_every_exit_code_is_explained() -> None:
    text = README.read_text()
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.RaydnnError):
            assert f"| {value.exit_code} |" in text, value


def test_links_and_files_exist() -> None:
    text = README.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:raydnn|tests|jobs|cluster)/[\w/.-]+)", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["fashion-mlp", "stacks"])
def test_the_pictures_are_small(name: str) -> None:
    picture = BENCHMARKS / "pictures" / f"{name}.png"
    assert picture.stat().st_size < 100_000


TOUR = re.compile(r"<!-- tour -->\n```(bash|python)\n(.*?)```", re.DOTALL)
DASHBOARD = "http://127.0.0.1:8265"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Ray head of two cores on loopback; gives the environment to use it in, with its address as DASHBOARD."""
    # Short: the paths of Ray's sockets go beneath it.
    folder = Path(tempfile.mkdtemp(prefix="rdn-"))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("f00d" * 12)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    command = [
        *("ray", "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"),
        *("--num-cpus=2", f"--temp-dir={folder}", *(f"--{name}={port}" for name, port in ports.items())),
    ]
    with (folder / "start.log").open("wb") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        _wait_for(url)
        yield environment | {"DASHBOARD": url}
    finally:
        _end(head, folder)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/api/version", timeout=2)
        except urllib.error.HTTPError:  # it answers, if only to ask for the token
            return
        except OSError:
            time.sleep(0.5)
        else:
            return


def _end(head: subprocess.Popen[bytes], folder: Path) -> None:
    """End the head and what it started: every process whose arguments name its own temporary folder."""
    os.kill(head.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.wait(15)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    head.wait(5)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_the_tour_runs(cluster: dict[str, str], tmp_path: Path) -> None:
    script = ["set -euo pipefail"]
    for number, (language, block) in enumerate(TOUR.findall(README.read_text())):
        if language == "python":
            path = tmp_path / f"block{number}.py"
            path.write_text(block)
            block = f"python {path}\n"
        script.append(block.replace(DASHBOARD, "$DASHBOARD"))
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=cluster,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [path.name for path in (tmp_path / "my-project" / "results").iterdir()]
    assert len(runs) == 3, runs
    assert "SUCCEEDED" in done.stderr
    assert "9 trials" in done.stdout


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
