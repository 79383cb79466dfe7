"""What a job names by import path: a loss or a network of the user's own."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from inspect import isclass
from types import ModuleType
from typing import Any, Literal

from raydnn.errors import UserCodeError, job_error, nearest
from raydnn.nn.user_code import described, is_interrupt, leave_if_copied, line_of, note_module


@cache
def imported(path: str, field: str, kind: Literal["function", "class"]) -> Any:
    """Import `FOLDER/package.module:name`; modules in the present folder are found, too.

    Args:
        path: The import path; the folder, where there is one, holds the package.
        field: The job's field that holds it, for the message.
        kind: What it must be.

    Raises:
        JobError: There is no such module or name.
        UserCodeError: The module's own code fails while it is imported.
    """
    folder, _, rest = path.rpartition("/")
    module_name, _, name = rest.partition(":")
    _look_in(folder)
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
            raise job_error(field, message) from error
        raise UserCodeError(f"{line}: {field}: {message}", type(error).__name__) from error
    leave_if_copied()
    _check_found_in(folder, module, path, field)
    fits = isclass if kind == "class" else callable
    if not fits(getattr(module, name, None)):
        names = [name for name, value in vars(module).items() if fits(value) and name[0] != "_"]
        message = f"'{module_name}' has no {kind} '{name}'; it has {', '.join(names) or 'none'}"
        raise job_error(field, f"{message}.{nearest(name, names)}")
    return getattr(module, name)


def _look_in(folder: str) -> None:
    """Have modules looked for in a folder, and then in the present one, after all that is installed."""
    here = os.getcwd()
    # A console script's own folder is on the path, the folder it is started in is not.
    present = [place for place in ("", here) if place in sys.path]
    if folder and folder not in sys.path:
        sys.path.insert(sys.path.index(present[0]) if present else len(sys.path), folder)
    if not present and here not in sys.path:
        sys.path.append(here)


def _check_found_in(folder: str, module: ModuleType, path: str, field: str) -> None:
    """Refuse a module of the name that lies elsewhere, where the folder has one of its own."""
    top = module.__name__.partition(".")[0]
    own = PathFinder.find_spec(top, [folder]) if folder else None
    if own is None or own.origin is None:
        return
    found = getattr(sys.modules[top], "__file__", None)
    if found is None or not os.path.samefile(found, own.origin):
        where = found or "built into Python"
        message = f"'{path}' cannot be imported: another module '{top}' comes before it, {where}"
        raise job_error(field, f"{message}; give yours another name")
