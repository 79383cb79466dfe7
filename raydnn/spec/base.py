"""The two bases of every spec class, and how a field declares its bounds, meaning and search range."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict


class Spec(BaseModel):
    """A frozen, strictly typed part of a job: an unknown or mistyped field is an error, never a guess."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class Component(Spec):
    """One choice on an axis (an optimizer, a schedule, ...), known by its `name`.

    A subclass's docstring opens with its one-line meaning; `formula`, `note` and `source` complete its page.
    """

    name: str
    formula: ClassVar[str] = ""
    note: ClassVar[str] = ""
    """What is otherwise in other libraries, or easily taken for something else."""
    source: ClassVar[str] = ""


@dataclass(frozen=True)
class Descends:
    """Marks a field by whose value a trial may descend: take the step θ ← θ − ηg within the backward pass.

    It may where its field has one of `values`, a component's being its name. Where it has another one its step is
    more than that, and needs the whole gradient first.
    """

    values: tuple[Any, ...]


def parameter(
    default: Any,
    meaning: str,
    *,
    search: str | None = None,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    descends: tuple[Any, ...] | None = None,
) -> Any:
    """Declare a field: its default (`...` if it must be given), meaning, bounds and default search range.

    Args:
        default: Value when the job says nothing.
        meaning: One line, with the unit where there is one.
        search: Domain that `all` searches, in job-file syntax, for instance `loguniform(1e-4, 1)`.
        gt: Exclusive lower bound.
        ge: Inclusive lower bound.
        lt: Exclusive upper bound.
        le: Inclusive upper bound.
        descends: Values with which a trial may descend, as `Descends` has it; None: whatever the value is.
    """
    extra: JsonDict | None = {"search": search} if search else None
    field = Field(default, description=meaning, json_schema_extra=extra, gt=gt, ge=ge, lt=lt, le=le)
    if descends is not None:
        field.metadata.append(Descends(descends))
    return field


def _name_as_mapping(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _list_as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


NameOrMapping = BeforeValidator(_name_as_mapping)
"""`optimizer: sgd` means `optimizer: {name: sgd}`."""

ListOrTuple = BeforeValidator(_list_as_tuple)

MOST_LAYERS = 1_000
MOST_UNITS = 1_000_000
"""What a network may declare of each: far more than can be trained, and little enough to be laid out and counted."""

Widths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_UNITS)], ...],
    Field(min_length=1, max_length=MOST_LAYERS),
    ListOrTuple,
]
"""Units of each hidden layer, from input to output."""


@dataclass(frozen=True)
class PathOf:
    """Marks a text that is a path, so that it is made absolute when the job is read.

    Paths of data, code and another run are relative to the file they are written in; `results` to the shell's folder.
    """

    what: Literal["data", "code", "run", "results"]


DataPath = Annotated[str, PathOf("data")]
"""A file or folder of examples, or an address."""

StoragePath = Annotated[str, PathOf("results")]
"""A folder that holds runs, or an address."""

_IMPORT_PATH = r"^(.*/)?[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


def _check_import_path(given: str) -> str:
    if not re.match(_IMPORT_PATH, given):
        raise ValueError(f"{given!r}; allowed: package.module:name, or FOLDER/package.module:name")
    return given


ImportPath = Annotated[
    str,
    AfterValidator(_check_import_path),
    WithJsonSchema({"type": "string", "pattern": _IMPORT_PATH}),
    PathOf("code"),
]
"""Where something is that a user wrote: package.module:name, after the folder that holds the package."""

PositiveNumbers = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1), ListOrTuple]
"""One or more numbers above 0."""
