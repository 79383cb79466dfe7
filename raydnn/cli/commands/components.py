"""`raydnn components`: the catalogue of everything a job file can choose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from raydnn.cli.options import output_option
from raydnn.cli.printing.output import print_json, print_table
from raydnn.cli.printing.terminal import tell
from raydnn.errors import UsageError, one_of
from raydnn.shell import command

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from raydnn.spec.base import Component, Spec

PARAMETER_COLUMNS = ("parameter", "type", "bounds", "default", "search", "meaning")
OPERATORS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def _complete_kind(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    from raydnn.spec.catalogue.kinds import KINDS

    return [kind for kind in (*KINDS, *_groups()) if kind.startswith(begun)]


def _complete_name(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    from raydnn.spec.catalogue.kinds import KINDS, components

    kind = context.params["kind"]
    return [name for name in components(kind) if name.startswith(begun)] if kind in KINDS else []


@click.command()
@click.argument("kind", required=False, shell_complete=_complete_kind)
@click.argument("name", required=False, shell_complete=_complete_name)
@output_option
def components(kind: str | None, name: str | None, output: str) -> None:
    """List what a job file can choose: kinds, the components of a KIND, or the page of one NAME.

    A page shows meaning, formula, what to note, parameters with bounds, default and search range, and source.
    Groups of plain fields (regularization, train, resources, search) are listed by their fields.

    \b
    Example:
      raydnn components
      raydnn components optimizer
      raydnn components optimizer adamw -o json
    """
    from raydnn.spec.catalogue.kinds import KINDS

    if kind is None:
        _print_kinds(output)
    elif kind in KINDS:
        _print_kind(kind, output) if name is None else _print_page(kind, name, output)
    elif kind in _groups():
        _print_group(kind, name, output)
    else:
        raise _unknown_kind(kind)


def _groups() -> dict[str, type[Spec]]:
    """Name → spec class of each part of a job that is a plain mapping of fields."""
    from raydnn.spec.catalogue.fields import nested_spec
    from raydnn.spec.job import Job

    nested = {name: nested_spec(field.annotation) for name, field in Job.model_fields.items()}
    return {name: spec for name, spec in nested.items() if spec is not None}


def _unknown_kind(kind: str) -> UsageError:
    from raydnn.spec.catalogue.kinds import KINDS
    from raydnn.spec.catalogue.kinds import components as components_of

    for other in KINDS:
        if kind in components_of(other):
            return UsageError(f"'{kind}' is no kind but a component: `{command('components', other, kind)}`")
    kinds = [*KINDS, *_groups()]
    return UsageError(f"unknown kind '{kind}'; {one_of(kind, kinds)}")


def _print_kinds(output: str) -> None:
    from raydnn.spec.catalogue.kinds import KINDS
    from raydnn.spec.catalogue.kinds import components as components_of

    rows: list[tuple[str, int, list[str]]] = []
    rows += [(kind, len(members), list(members)) for kind in KINDS if (members := components_of(kind))]
    rows += [(group, len(spec.model_fields), list(spec.model_fields)) for group, spec in _groups().items()]
    print_table(("kind", "count", "names"), rows, output)


def _print_kind(kind: str, output: str) -> None:
    from raydnn.spec.catalogue.kinds import components as components_of

    rows = [
        (name, _meaning(cls), _parameter_names(cls), cls.source) for name, cls in components_of(kind).items()
    ]
    print_table(("name", "meaning", "parameters", "source"), rows, output)


def _print_group(kind: str, name: str | None, output: str) -> None:
    rows = _parameter_rows(_groups()[kind])
    if name is not None:
        rows = [row for row in rows if row[0] == name]
        if not rows:
            raise UsageError(
                f"unknown field '{name}' of {kind}; {one_of(name, _groups()[kind].model_fields)}"
            )
    print_table(PARAMETER_COLUMNS, rows, output)


def _print_page(kind: str, name: str, output: str) -> None:
    from raydnn.spec.catalogue.kinds import components as components_of

    members = components_of(kind)
    if name not in members:
        raise UsageError(f"unknown {kind} '{name}'; {one_of(name, members)}")
    cls = members[name]
    rows = _parameter_rows(cls)
    if output == "json":
        parameters = [dict(zip(PARAMETER_COLUMNS, row, strict=True)) for row in rows]
        about = {"meaning": _meaning(cls), "formula": cls.formula, "note": cls.note, "source": cls.source}
        print_json({"kind": kind, "name": name, **about, "parameters": parameters})
        return
    if output == "table":
        tell(f"{kind}: {name}\n\n{_meaning(cls)}\n")
        for title, text in (("Formula", cls.formula), ("Note", cls.note), ("Source", cls.source)):
            if text:
                tell(f"{title}: {text}")
        tell("Parameters: none" if not rows else "")
    if rows or output == "csv":
        print_table(PARAMETER_COLUMNS, rows, output)


def _meaning(cls: type[Spec]) -> str:
    return (cls.__doc__ or "").partition("\n")[0]


def _parameters(cls: type[Spec]) -> dict[str, FieldInfo]:
    from raydnn.spec.base import Component

    named = issubclass(cls, Component)
    return {name: field for name, field in cls.model_fields.items() if not (named and name == "name")}


def _parameter_names(cls: type[Component]) -> list[str]:
    return list(_parameters(cls))


def _parameter_rows(cls: type[Spec]) -> list[tuple[str, str, str, str, str | None, str]]:
    from raydnn.spec.catalogue.fields import search_range

    return [
        (name, _type(field), _bounds(field), _default(field), search_range(field), field.description or "")
        for name, field in _parameters(cls).items()
    ]


def _type(field: FieldInfo) -> str:
    """The type as a user reads it; a field that holds a component or a mapping is called by what it holds."""
    from raydnn.spec.catalogue.fields import component_classes, nested_spec, optional, type_name

    null = " or null" if optional(field.annotation) else ""
    if choices := component_classes(field.annotation):
        return " | ".join(choices) + null
    if (nested := nested_spec(field.annotation)) is not None:
        return "{" + ", ".join(nested.model_fields) + "}" + null
    return type_name(field.annotation)


def _bounds(field: FieldInfo) -> str:
    from raydnn.spec.catalogue.fields import bounds

    return ", ".join(f"{OPERATORS[operator]} {value:g}" for operator, value in bounds(field).items())


def _default(field: FieldInfo) -> str:
    from raydnn.spec.base import Component, Spec

    if field.is_required():
        return "required"
    value: Any = field.default
    if isinstance(value, Component):
        return value.name
    if isinstance(value, Spec):
        return json.dumps(value.model_dump())
    return value if isinstance(value, str) else json.dumps(value)
