"""Secrets: `env:NAME` and `file:PATH` in a job stand for what a variable or a file holds where the job is trained.

Only those who use a value ask for it; specs, tables and messages keep what the job says. What was given out is
taken out again of every text that is kept or told.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raydnn.errors import DataError, JobError, Problem, job_error

LEAST_HIDDEN = 4
"""Shorter values are words and numbers that stand everywhere; they hide nothing."""
_given_out: dict[str, str] = {}
"""Value → how the job writes it."""


def is_secret(value: object) -> bool:
    """Whether a job's value stands for what a variable or a file holds; `file://...` is an address."""
    return isinstance(value, str) and (
        value.startswith("env:") or (value.startswith("file:") and not value.startswith("file://"))
    )


def revealed(value: Any, field: str) -> Any:
    """A job's value with what its secrets stand for, also within lists and mappings; a final line end is dropped.

    Args:
        value: The value.
        field: Its dotted path, for messages.

    Raises:
        JobError: There is no such variable here, or the file cannot be read.
    """
    if isinstance(value, dict):
        return {key: revealed(each, f"{field}.{key}") for key, each in value.items()}
    if isinstance(value, list):
        return [revealed(each, field) for each in value]
    if not is_secret(value):
        return value
    kind, _, name = value.partition(":")
    found = _of_variable(name, field) if kind == "env" else _of_file(name, field)
    found = found.removesuffix("\n").removesuffix("\r")
    if len(found) >= LEAST_HIDDEN:
        _given_out[found] = value
    return found


def hidden(text: str) -> str:
    """A text with every secret that was given out written as in the job."""
    for value in sorted(_given_out, key=len, reverse=True):
        text = text.replace(value, _given_out[value])
    return text


def hide(error: BaseException) -> None:
    """Take the secrets out of what an error says, and those that it stems from."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        each.args = tuple(hidden(part) if isinstance(part, str) else part for part in each.args)
        if isinstance(each, DataError):
            each.path = hidden(each.path)
        if isinstance(each, JobError):
            each.problems = tuple(Problem(p.place, p.field, hidden(p.message)) for p in each.problems)
        each = each.__cause__ or each.__context__


def _of_variable(name: str, field: str) -> str:
    if name not in os.environ:
        raise job_error(
            field, f"env:{name} is given; there is no environment variable {name} where it is trained"
        )
    return os.environ[name]


def _of_file(path: str, field: str) -> str:
    try:
        return Path(path).expanduser().read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise job_error(field, f"file:{path} cannot be read where it is trained: {reason}") from error
