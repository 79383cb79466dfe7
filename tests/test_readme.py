"""The documents under test: their reference is what the program says of itself.

`python tests/test_readme.py` writes their generated parts anew.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import runpy
import textwrap
import tomllib
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
from raydnn.training.facts import NetworkFacts

ROOT = Path(__file__).parents[1]
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


def facts() -> str:
    """What a finished trial's checkpoint says."""
    member = "the trial as it ended: `spec`, its configuration as text, `history`, `test`, state and so on"
    rows = [("`member`", member)]
    rows += [(f"`{name}`", field.description or "") for name, field in NetworkFacts.model_fields.items()]
    return table(("key", "meaning"), rows)


def measured() -> str:
    """The tables of benchmarks, from what `make bench` wrote."""
    report = runpy.run_path(str(BENCHMARKS / "table.py"))["report"]
    return f"{report(json.loads((BENCHMARKS / 'measured.json').read_text()))}\n"


def reference() -> str:
    """The reference training's numbers, from what tests/benchmarks/reference.py wrote."""
    numbers = runpy.run_path(str(BENCHMARKS / "reference_table.py"))["numbers"]
    return f"{numbers(json.loads((BENCHMARKS / 'reference.json').read_text()))}\n"


def ratio() -> str:
    """What stacks bring, from what `make bench` wrote."""
    parts = json.loads((BENCHMARKS / "measured.json").read_text())
    ratios = {row["key"]: row["ratio"] for part in parts.values() for row in part["rows"]}
    one, mixed, large, memory = (
        ratios[key]
        for key in (
            "stacks/digits-one-optimizer-64/torch",
            "stacks/digits-mixed-64/torch",
            "stacks/reference-one-optimizer-64/torch",
            "memory/digits-64",
        )
    )
    machine = parts["Stacks"]["machine"]
    told = (
        f"*A stack of 64 small networks (64-64-10) trains {one:.1f} times as fast as plain PyTorch trains them one "
        f"after another, {mixed:.1f} times with mixed optimizers, activations and schedules, and takes {memory:.0f} "
        f"times less memory than a process for each. Larger ones (784-300-100-10) fill a core alone: {large:.1f} "
        f"times. [Measured](tests/benchmarks/README.md) on one core of {machine['cpu']}.*"
    )
    return textwrap.fill(told, 118, break_on_hyphens=False) + "\n"


def names() -> str:
    """The names of the components that a network and its training are made of, `auto` and `none` left out."""
    kinds = (
        "model",
        "optimizer",
        "schedule",
        "init",
        "activation",
        "normalization",
        "loss",
        "algorithm",
        "scheduler",
    )
    rows = []
    for kind in kinds:
        known = [name for name in components_of(kind) if name not in ("auto", "none")]
        rows.append((f"{kind} ({len(known)})", " ".join(known)))
    return table(("kind", "there are"), rows)


def job_files() -> str:
    """Every job file, with the first sentence of its own comment."""
    rows = []
    for path in sorted((ROOT / "jobs").glob("*.yaml")):
        lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
        told = " ".join(line.removeprefix("#").strip() for line in lines)
        rows.append((f"`jobs/{path.name}`", re.split(r"(?<=\.) ", told)[0]))
    return table(("file", "what it shows"), rows)


def folders() -> str:
    """The package's folders from top to bottom, each with its first sentence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = []
    for path in (ROOT / layer.replace(".", "/") for layer in layers):
        if path.is_dir():
            rows.append((f"`{path.name}/`", _says(path)))
            rooms = sorted(path.glob("*/__init__.py"))
            rows += [(f"`{path.name}/{room.parent.name}/`", _says(room.parent)) for room in rooms]
    return table(("folder", "what is in it"), rows)


def _says(folder: Path) -> str:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


Part = Callable[[], str]
DOCUMENTS: dict[str, dict[str, Part]] = {
    "README.md": {"ratio": ratio, "names": names},
    "jobs/README.md": {"jobs": job_files, "fields": fields, "components": components},
    "raydnn/README.md": {"folders": folders},
    "raydnn/cli/README.md": {"commands": commands},
    "raydnn/store/README.md": {"facts": facts, "columns": columns},
    "tests/benchmarks/README.md": {"reference": reference, "measured": measured},
}
"""Document → name of each generated part → what writes it."""


def renewed(text: str, parts: dict[str, Part]) -> str:
    """A document with its generated parts as they should be."""
    return GENERATED.sub(lambda found: f"{found[1]}\n{parts[found[2]]()}\n{found[4]}", text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_generated_parts_are_current(document: str) -> None:
    text, parts = (ROOT / document).read_text(), DOCUMENTS[document]
    assert [found[2] for found in GENERATED.finditer(text)] == list(parts)
    assert renewed(text, parts) == text, "run `python tests/test_readme.py`"


@pytest.mark.parametrize("path", [path for path, _, _ in _commands(raydnn)])
def test_every_command_has_its_line(path: str) -> None:
    text = (ROOT / "raydnn" / "cli" / "README.md").read_text()
    assert re.search(rf"^\| `{path}[` ]", text, re.MULTILINE)


def test_every_exit_code_is_explained() -> None:
    text = (ROOT / "raydnn" / "cli" / "README.md").read_text()
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.RaydnnError):
            assert f"| {value.exit_code} |" in text, value


@pytest.mark.parametrize("name", ["fashion-mlp", "stacks"])
def test_the_pictures_are_small(name: str) -> None:
    picture = BENCHMARKS / "pictures" / f"{name}.png"
    assert picture.stat().st_size < 100_000


if __name__ == "__main__":
    for name, written in DOCUMENTS.items():
        (ROOT / name).write_text(renewed((ROOT / name).read_text(), written))
