"""The user's own code: where it lies, which of its lines an error comes from, and what it may not do."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from threading import current_thread, main_thread
from traceback import walk_tb

from raydnn.errors import UserCodeError, first_line
from raydnn.secrets import hidden
from raydnn.spec.axes.loss import Function
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.trial import TrialSpec

_ELSES = tuple(
    f"{folder}{os.sep}"
    for folder in (
        Path(__file__).parents[1],
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    )
)
"""Folders of code that is not the user's, unless a job names a package in them."""
_folders: set[str] = set()
"""Folders of what jobs have named."""
_copied_from: int | None = None
"""The process that user's code has copied by a fork, in the copy."""


def note_module(name: str) -> None:
    """Note where a module is that a job names; what lies beside it is the user's, too."""
    try:
        spec = find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        return
    places = [] if spec is None else list(spec.submodule_search_locations or [spec.origin or ""])
    for place in places:
        folder = os.path.dirname(place)
        _folders.add(f"{place if f'{folder}{os.sep}'.startswith(_ELSES) else folder}{os.sep}")


def line_of(error: BaseException) -> str | None:
    """`net.py:12`: the last of an error's frames that lies in the user's code; None where none does.

    A file in the present folder is named as seen from there, another one by its whole path.
    """
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if _is_users(frame.f_code.co_filename)
    ]
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename):
        lines.append((error.filename, error.lineno or 1))
    if lines:
        return _shown(*lines[-1])
    return None if error.__cause__ is None else line_of(error.__cause__)


def line_of_code(function: object) -> str:
    """`net.py:10: `, where a function of the user's begins; empty where it is not written in Python."""
    code = getattr(function, "__code__", None)
    return "" if code is None else f"{_shown(code.co_filename, code.co_firstlineno)}: "


def is_interrupt(error: BaseException) -> bool:
    """Whether somebody asked the process to stop; a KeyboardInterrupt that the user's code raises is none."""
    if type(error) is not KeyboardInterrupt:
        return isinstance(error, KeyboardInterrupt)
    by_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return (by_default and current_thread() is main_thread()) or line_of(error) is None


def blamed(error: BaseException) -> UserCodeError | None:
    """An error as the user's code is told of it; None where it is not the user's code that raised it."""
    line = line_of(error)
    return None if line is None else UserCodeError(f"{line}: {described(error)}", type(error).__name__)


def paths_of_users(trial: TrialSpec) -> list[str]:
    """The import paths of the user's code that a trial computes with."""
    loss = loss_of(trial)
    paths = [loss.path] if isinstance(loss, Function) else []
    return [*paths, trial.model.path] if isinstance(trial.model, UserModule) else paths


def described(error: BaseException) -> str:
    """`RuntimeError: no luck`, on one line, whatever the error's text is."""
    name, line = type(error).__name__, hidden(first_line(error))
    return name if line == name else f"{name}: {line}"


def leave_if_copied() -> None:
    """End a process that user's code has made by a fork and let go on: the training goes on in the first one."""
    if _copied_from is not None:
        print(
            f"warning: the user's code has forked process {_copied_from}, which trains; its copy {os.getpid()} "
            "ends here (end it in your code, by os._exit, or start it by multiprocessing)",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)


def _is_users(file: str) -> bool:
    of_others = file.startswith(_ELSES)
    return any(
        file.startswith(folder) and (not of_others or folder.startswith(_ELSES)) for folder in _folders
    )


def _shown(file: str, line: int) -> str:
    here = _present_folder()
    return f"{file.removeprefix(here)}:{line}"


def _present_folder() -> str:
    try:
        return f"{os.getcwd()}{os.sep}"
    except FileNotFoundError:  # it was removed
        return ""


def _note_copy() -> None:
    global _copied_from
    _copied_from = os.getppid()


os.register_at_fork(after_in_child=_note_copy)
