"""What a job names by import path: a loss or a network of the user's own."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from inspect import isclass
from typing import Any, Literal

from raydnn.errors import JobError, Problem, UserCodeError, nearest
from raydnn.nn.users import described, is_interrupt, leave_if_copied, line_of, note_module


@cache
def imported(path: str, field: str, kind: Literal["function", "class"]) -> Any:
    """Import `package.module:name`; modules in the present folder are found, too.

    Args:
        path: The import path.
        field: The job's field that holds it, for the message.
        kind: What it must be.

    Raises:
        JobError: There is no such module or name.
        UserCodeError: The module's own code fails while it is imported.
    """
    module_name, _, name = path.partition(":")
    # A console script's own folder is on the path, the folder it is started in is not.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    note_module(module_name)
    try:
        module = import_module(module_name)
    except BaseException as error:
        leave_if_copied()
        if is_interrupt(error):
            raise
        message = f"'{path}' cannot be imported: {described(error)}"
        line = line_of(error)
        if line is None:
            raise _problem(field, message) from error
        raise UserCodeError(f"{line}: {field}: {message}", type(error).__name__) from error
    leave_if_copied()
    fits = isclass if kind == "class" else callable
    if not fits(getattr(module, name, None)):
        names = [name for name, value in vars(module).items() if fits(value) and name[0] != "_"]
        message = f"'{module_name}' has no {kind} '{name}'; it has {', '.join(names) or 'none'}"
        raise _problem(field, f"{message}.{nearest(name, names)}")
    return getattr(module, name)


def _problem(field: str, message: str) -> JobError:
    return JobError([Problem("", field, message)])
